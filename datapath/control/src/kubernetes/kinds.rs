//! Kinds of objects beside those that are read: which say nothing of who speaks with whom, and why others are refused.

/// Groups of the API all of whose kinds are about something else: rights, storage, scheduling, the API itself.
const GROUPS: [&str; 12] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "autoscaling",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "events.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// The same of the core group.
const CORE: [&str; 9] = [
    "ConfigMap",
    "Event",
    "LimitRange",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "PodTemplate",
    "ResourceQuota",
    "Secret",
    "ServiceAccount",
];

/// What makes pods.
const WORKLOADS: [&str; 7] = [
    "CronJob",
    "DaemonSet",
    "Deployment",
    "Job",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
];

/// Whether objects of a kind are passed over: they do not change what becomes of a packet.
pub fn is_beside_the_point(api_version: &str, kind: &str) -> bool {
    match api_version.split_once('/') {
        None => api_version == "v1" && CORE.contains(&kind),
        Some((group, _)) => GROUPS.contains(&group),
    }
}

/// Why a kind is refused that people have beside those that are read, if it is one of these.
pub(super) fn reason(kind: &str) -> &'static str {
    match kind {
        kind if WORKLOADS.contains(&kind) => {
            ", as it does not say which pods it makes: `kubectl get pods -o yaml` does"
        }
        "Service" | "Endpoints" | "Ingress" => ", as manifests say nothing of services here",
        _ => "",
    }
}
