//! An object's programs as instructions that the kernel takes, to load them with a tap.

use std::collections::{BTreeMap, HashSet};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use aya::{Btf, EbpfError};
use aya_obj::btf::{BtfParam, BtfType, Func, FuncLinkage, FuncProto, Int, IntEncoding, Ptr};
use aya_obj::generated::{bpf_func_info, bpf_insn, bpf_line_info};
use aya_obj::{Object, ProgramSection};

use super::sys::map::Map;
use super::sys::program::{DebugInfo, load_btf};
use super::tap::Watched;

/// The programs of an object, linked and with the object's maps put in.
#[derive(Debug)]
pub struct Code {
    object: Object,
}

/// A program, with all functions that it calls.
#[derive(Debug)]
pub struct Function {
    /// The program's name.
    pub name: String,
    /// The licence of its object.
    pub license: CString,
    instructions: Vec<bpf_insn>,
    functions: Vec<bpf_func_info>,
    lines: Vec<bpf_line_info>,
    btf: Option<Btf>,
}

/// Instructions with what the kernel is told about them.
#[derive(Debug)]
pub struct Whole {
    /// Of eight bytes each.
    pub instructions: Vec<u8>,
    /// Functions and lines, if the object has BTF.
    pub debug: Option<OwnedDebugInfo>,
}

/// What the kernel is told about instructions.
#[derive(Debug)]
pub struct OwnedDebugInfo {
    btf: OwnedFd,
    functions: Vec<u8>,
    lines: Vec<u8>,
}

impl Code {
    /// Reads an object that aya has loaded, and puts its maps in.
    ///
    /// # Errors
    /// Those that aya would have had.
    pub fn link(bytes: &[u8], maps: &BTreeMap<String, Map>) -> Result<Self, EbpfError> {
        let mut object = Object::parse(bytes)?;
        let features = aya::features();
        if let Some(features) = features.btf() {
            object.fixup_and_sanitize_btf(features)?;
        }
        if object.has_btf_relocations() {
            object.relocate_btf(&Btf::from_sys_fs()?)?;
        }
        let sections: HashSet<usize> = object
            .functions
            .keys()
            .map(|(section, _)| *section)
            .collect();
        let definitions: Vec<_> = object.maps.drain().collect();
        let known = definitions.iter().filter_map(|(name, definition)| {
            let map = maps.get(name)?;
            Some((name.as_str(), map.as_fd().as_raw_fd(), definition))
        });
        object.relocate_maps(known, &sections)?;
        object.relocate_calls(&sections)?;
        object.sanitize_functions(features);
        Ok(Self { object })
    }

    /// What a tap on a program would watch; `None` for one without packets, or that the object lacks.
    pub fn watched(&self, program: &str) -> Option<Watched> {
        match self.object.programs.get(program)?.section {
            ProgramSection::Xdp { frags, .. } => Some(Watched::Xdp { fragments: frags }),
            ProgramSection::SchedClassifier => Some(Watched::Skb),
            _ => None,
        }
    }

    /// A program, if the object has it.
    pub fn function(&self, program: &str) -> Option<Function> {
        let definition = self.object.programs.get(program)?;
        let function = self.object.functions.get(&definition.function_key())?;
        Some(Function {
            name: program.to_owned(),
            license: definition.license.clone(),
            instructions: function.instructions.clone(),
            functions: function.func_info.func_info.clone(),
            lines: function.line_info.line_info.clone(),
            btf: self.object.btf.clone(),
        })
    }
}

impl Function {
    /// The program as it is.
    ///
    /// # Errors
    /// When the kernel does not take the BTF.
    pub fn alone(&self) -> io::Result<Whole> {
        let described = self.btf.as_ref().filter(|_| !self.functions.is_empty());
        let debug = described.map(|btf| {
            let functions = self.functions.iter();
            Ok::<_, io::Error>(OwnedDebugInfo {
                btf: load_btf(&btf.to_bytes())?,
                functions: functions
                    .flat_map(|info| words([info.insn_off, info.type_id]))
                    .collect(),
                lines: self
                    .lines
                    .iter()
                    .flat_map(|info| words(line(info, info.insn_off)))
                    .collect(),
            })
        });
        Ok(Whole {
            instructions: self.instructions.iter().flat_map(bytes).collect(),
            debug: debug.transpose()?,
        })
    }

    /// Puts other instructions in front, which are then the program, and this one a function of it.
    ///
    /// # Errors
    /// When the kernel does not take the BTF.
    pub fn behind(&self, front: &[u8]) -> io::Result<Whole> {
        let mut instructions = front.to_vec();
        instructions.extend(self.instructions.iter().flat_map(bytes));
        let debug = match &self.btf {
            Some(btf) if !self.functions.is_empty() => Some(self.debug_info(btf, front.len() / 8)?),
            _ => None,
        };
        Ok(Whole {
            instructions,
            debug,
        })
    }

    /// The kernel wants each function described. The program, now called by another, gets a description of its
    /// own, as a static function: one that is verified for the call that is there, and not for all that its
    /// signature would allow.
    fn debug_info(&self, btf: &Btf, shift: usize) -> io::Result<OwnedDebugInfo> {
        let shift = shift as u32;
        let mut btf = btf.clone();
        let front = add_function(&mut btf, "twinpath_tap");
        let main = add_function(&mut btf, "twinpath_program");
        let own = [(0, front), (shift, main)];
        // The first record is the program's old one.
        let others = self
            .functions
            .iter()
            .skip(1)
            .map(|info| (info.insn_off + shift, info.type_id));
        let functions = own.into_iter().chain(others);
        let lines = self.lines.first().map(|first| line(first, 0));
        let lines = lines.into_iter().chain(
            self.lines
                .iter()
                .map(|info| line(info, info.insn_off + shift)),
        );
        Ok(OwnedDebugInfo {
            btf: load_btf(&btf.to_bytes())?,
            functions: functions.flat_map(|(at, kind)| words([at, kind])).collect(),
            lines: lines.flat_map(words).collect(),
        })
    }
}

impl OwnedDebugInfo {
    /// As the system call takes it.
    pub fn borrow(&self) -> DebugInfo<'_> {
        DebugInfo {
            btf: self.btf.as_fd(),
            functions: &self.functions,
            lines: &self.lines,
        }
    }
}

/// Describes a static function `int name(void *context)`.
fn add_function(btf: &mut Btf, name: &str) -> u32 {
    const VOID: u32 = 0;
    const NO_NAME: u32 = 0;
    let int = btf.add_string("int");
    let int = btf.add_type(BtfType::Int(Int::new(int, 4, IntEncoding::Signed, 0)));
    let pointer = btf.add_type(BtfType::Ptr(Ptr::new(NO_NAME, VOID)));
    let parameter = BtfParam {
        name_offset: btf.add_string("context"),
        btf_type: pointer,
    };
    let signature = btf.add_type(BtfType::FuncProto(FuncProto::new(vec![parameter], int)));
    let name = btf.add_string(name);
    btf.add_type(BtfType::Func(Func::new(
        name,
        signature,
        FuncLinkage::Static,
    )))
}

/// A line's record, for an instruction.
fn line(info: &bpf_line_info, instruction: u32) -> [u32; 4] {
    [
        instruction,
        info.file_name_off,
        info.line_off,
        info.line_col,
    ]
}

fn words<const N: usize>(words: [u32; N]) -> impl Iterator<Item = u8> {
    words.into_iter().flat_map(u32::to_ne_bytes)
}

fn bytes(instruction: &bpf_insn) -> [u8; 8] {
    let (to, from) = (instruction.dst_reg(), instruction.src_reg());
    // The registers are bit fields, and a compiler lays those out from the byte order's end.
    let registers = if cfg!(target_endian = "little") {
        from << 4 | to
    } else {
        to << 4 | from
    };
    let [o0, o1] = instruction.off.to_ne_bytes();
    let [i0, i1, i2, i3] = instruction.imm.to_ne_bytes();
    [instruction.code, registers, o0, o1, i0, i1, i2, i3]
}
