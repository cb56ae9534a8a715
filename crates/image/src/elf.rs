//! Is the binary one that can run in an image without a C library? A wrong one would start nowhere but in
//! production, so it is found before it is packed.

use object::elf::{EM_386, EM_AARCH64, EM_ARM, EM_X86_64, FileHeader64};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::{Endianness, elf};

use crate::platform::Arch;

/// Why a binary cannot go into an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Some other kind of file.
    #[error(
        "it is {found}, not a 64-bit Linux (ELF) executable: build it with GOOS=linux and GOARCH={wanted}"
    )]
    NotElf {
        /// What the file looks like.
        found: &'static str,
        /// The architecture the image is for.
        wanted: Arch,
    },
    /// The headers contradict themselves.
    #[error("its ELF headers are damaged ({reason}): build it again")]
    Damaged {
        /// What the parser met.
        reason: String,
    },
    /// Built for another processor.
    #[error(
        "it is built for {found}, but the image is for {wanted}: build it with GOARCH={wanted}"
    )]
    WrongArch {
        /// The processor it is built for.
        found: String,
        /// The architecture the image is for.
        wanted: Arch,
    },
    /// It needs a loader or shared libraries that the image does not have.
    #[error(
        "it is dynamically linked ({needs}): set CGO_ENABLED=0 and do not use -buildmode=pie, because the image holds \
         no C library"
    )]
    Dynamic {
        /// The interpreter or the libraries it asks for.
        needs: String,
    },
}

/// Checks that `data` is a static executable for Linux on `wanted`.
///
/// # Errors
///
/// When it is not: each way has its own [`ElfError`].
pub fn check(data: &[u8], wanted: Arch) -> Result<(), ElfError> {
    if !data.starts_with(&elf::ELFMAG) || data.get(4) != Some(&elf::ELFCLASS64.0) {
        return Err(ElfError::NotElf {
            found: guess(data),
            wanted,
        });
    }
    let damaged = |error: object::read::Error| ElfError::Damaged {
        reason: error.to_string(),
    };
    let header = FileHeader64::<Endianness>::parse(data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;

    let machine = header.e_machine.get(endian);
    let expected = match wanted {
        Arch::Amd64 => EM_X86_64,
        Arch::Arm64 => EM_AARCH64,
    };
    if machine != expected {
        let found = match machine {
            EM_X86_64 => "amd64".to_owned(),
            EM_AARCH64 => "arm64".to_owned(),
            EM_386 => "386".to_owned(),
            EM_ARM => "arm".to_owned(),
            other => format!("machine {other:?}"),
        };
        return Err(ElfError::WrongArch { found, wanted });
    }

    let segments = header.program_headers(endian, data).map_err(damaged)?;
    for segment in segments {
        if let Some(interpreter) = segment.interpreter(endian, data).map_err(damaged)? {
            let needs = format!("interpreter {}", String::from_utf8_lossy(interpreter));
            return Err(ElfError::Dynamic { needs });
        }
        if let Some(dynamic) = segment.dynamic(endian, data).map_err(damaged)? {
            let needed = dynamic
                .iter()
                .filter(|entry| entry.tag(endian) == elf::DT_NEEDED)
                .count();
            if needed > 0 {
                return Err(ElfError::Dynamic {
                    needs: format!("{needed} shared libraries"),
                });
            }
        }
    }
    Ok(())
}

/// What a file that is not a 64-bit ELF file most likely is.
fn guess(data: &[u8]) -> &'static str {
    match data {
        [] => "an empty file",
        [0x7f, b'E', b'L', b'F', ..] => "a 32-bit ELF file",
        [b'#', b'!', ..] => "a script",
        [b'M', b'Z', ..] => "a Windows executable",
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => "a macOS executable",
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => {
            "an object archive (the package is not `main`)"
        }
        _ => "a file of an unknown kind",
    }
}
