//! What was written is what is read.

use std::io::Write;

use proptest::prelude::*;
use twinpath_pcaps::{
    AtomicFile, Capture, Frame, MAX_FRAME_LEN, PcapNgWriter, PcapWriter, Timestamp,
};

use crate::support::{any_frames, corpus_files, read_all, some_frames};

proptest! {
    #[test]
    fn pcap_is_identity(frames in any_frames()) {
        let mut writer = PcapWriter::new(Vec::new()).unwrap();
        for frame in &frames {
            writer.frame(frame).unwrap();
        }
        prop_assert_eq!(read_all(&writer.finish().unwrap()).unwrap(), frames);
    }

    #[test]
    fn pcapng_is_identity(
        frames in any_frames(),
        at in any::<u64>(),
        extra in prop::collection::vec((0..3usize, prop::option::of("\\PC{0,40}")), 20),
    ) {
        let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
        let names = ["eth0", "lxc1", "ünï"];
        let interfaces = names.map(|name| writer.interface(name).unwrap());
        let mut expected = vec![];
        for (mut frame, (interface, comment)) in frames.into_iter().zip(extra) {
            frame.interface = interfaces[interface];
            frame.comment = comment;
            frame.at = Timestamp::from_nanos(frame.at.as_nanos() ^ at);
            writer.frame(&frame).unwrap();
            expected.push(frame);
        }
        let bytes = writer.finish().unwrap();
        prop_assert_eq!(read_all(&bytes).unwrap(), expected);
        let mut capture = Capture::from_reader("x", std::io::Cursor::new(bytes)).unwrap();
        capture.by_ref().for_each(drop);
        let found: Vec<_> = capture.interfaces().iter().map(|it| it.name.as_deref().unwrap()).collect();
        prop_assert_eq!(found, names);
    }
}

#[test]
fn the_corpus_survives() {
    for path in corpus_files() {
        let frames: Vec<Frame> = Capture::open(&path).unwrap().map(Result::unwrap).collect();
        let mut pcap = PcapWriter::new(Vec::new()).unwrap();
        let mut pcapng = PcapNgWriter::new(Vec::new()).unwrap();
        pcapng.interface("client0").unwrap();
        for frame in &frames {
            pcap.frame(frame).unwrap();
            pcapng.frame(frame).unwrap();
        }
        assert_eq!(read_all(&pcap.finish().unwrap()).unwrap(), frames);
        assert_eq!(read_all(&pcapng.finish().unwrap()).unwrap(), frames);
    }
}

#[test]
fn a_file_is_whole_or_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("out.pcapng");
    let entries = || std::fs::read_dir(folder.path()).unwrap().count();

    let mut abandoned = AtomicFile::create(&place).unwrap();
    abandoned.write_all(b"half").unwrap();
    drop(abandoned);
    assert_eq!(entries(), 0);

    let mut writer = PcapNgWriter::new(AtomicFile::create(&place).unwrap()).unwrap();
    let eth0 = writer.interface("eth0").unwrap();
    for frame in some_frames() {
        writer
            .write(eth0, frame.at, &frame.bytes, frame.original_len, None)
            .unwrap();
    }
    assert!(!place.exists());
    writer.finish().unwrap().commit().unwrap();
    assert_eq!(entries(), 1);
    let frames: Vec<_> = Capture::open(&place).unwrap().map(Result::unwrap).collect();
    assert_eq!(frames, some_frames());

    // Over what was there; as readable as any file is.
    let again = PcapWriter::new(AtomicFile::create(&place).unwrap()).unwrap();
    again.finish().unwrap().commit().unwrap();
    assert_eq!(Capture::open(&place).unwrap().count(), 0);
    use std::os::unix::fs::PermissionsExt;
    let ordinary = folder.path().join("ordinary");
    std::fs::write(&ordinary, b"").unwrap();
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&place), mode(&ordinary));
}

#[test]
fn a_file_that_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    for (place, message) in [
        (
            folder.path().join("none/out.pcap"),
            "No such file or directory (os error 2)",
        ),
        (folder.path().to_owned(), "is a directory"),
    ] {
        let error = AtomicFile::create(&place).err().unwrap().to_string();
        assert_eq!(
            error,
            format!("{}: cannot create: {message}", place.display())
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// What nothing can take the place of is written to; a link still leads where it led.
#[cfg(unix)]
#[test]
fn devices_and_links_stay_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    std::fs::write(&file, b"before").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let null = folder.path().join("null");
    std::os::unix::fs::symlink("/dev/null", &null).unwrap();
    for place in [&link, &null] {
        let mut out = AtomicFile::create(place).unwrap();
        out.write_all(b"after").unwrap();
        out.commit().unwrap();
        assert!(place.is_symlink());
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"after");
    assert_eq!(std::fs::read("/dev/null").unwrap(), b"");
}

#[test]
fn refusals() {
    let mut pcap = PcapWriter::new(Vec::new()).unwrap();
    let mut pcapng = PcapNgWriter::new(Vec::new()).unwrap();
    let eth0 = pcapng.interface("eth0").unwrap();
    let long = vec![0; MAX_FRAME_LEN + 1];
    let late = Timestamp::from_nanos(u64::MAX);
    let text = "x".repeat(70_000);
    let frame = Frame::new(Timestamp::EPOCH, vec![0; 60]);
    let mut elsewhere = PcapNgWriter::new(Vec::new()).unwrap();
    let _ = elsewhere.interface("a").unwrap();
    let other = elsewhere.interface("b").unwrap();
    let errors = [
        pcap.write(Timestamp::EPOCH, &long, u32::MAX),
        pcap.write(Timestamp::EPOCH, b"abc", 2),
        pcap.write(late, b"abc", 3),
        pcapng.write(eth0, late, &long, u32::MAX, None),
        pcapng.write(eth0, late, &frame.bytes, 60, Some(&text)),
        pcapng.write(other, late, &frame.bytes, 60, None),
        pcapng.interface(&text).map(drop),
    ]
    .map(|result| result.unwrap_err().to_string());
    assert_eq!(
        errors,
        [
            "frame of 262145 bytes; expected at most 262144",
            "frame of 3 bytes; expected at most its original length, 2",
            "time 18446744073.709551615; expected one before the year 2106",
            "frame of 262145 bytes; expected at most 262144",
            "comment of 70000 bytes; expected at most 65535",
            "interface 1 of a capture that describes 1",
            "interface name of 70000 bytes; expected at most 65535",
        ]
    );
    // A refused frame leaves no trace.
    assert_eq!(read_all(&pcap.finish().unwrap()).unwrap(), []);
    assert_eq!(read_all(&pcapng.finish().unwrap()).unwrap(), []);
}
