//! The platforms an image can be for: those that Fargate runs Linux tasks on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operating system and an architecture, written `linux/amd64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    /// The operating system.
    pub os: Os,
    /// The processor architecture.
    pub arch: Arch,
}

/// An operating system. There is one: Windows containers are out of scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Os {
    /// Linux.
    Linux,
}

/// A processor architecture, by the name that Go and OCI both use. ECS calls them `X86_64` and `ARM64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    /// 64-bit x86.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

/// A text that names no platform we build for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform an image can be built for: use `linux/amd64` or `linux/arm64`")]
pub struct ParsePlatformError(String);

impl Platform {
    /// Linux on 64-bit x86.
    pub const LINUX_AMD64: Self = Self {
        os: Os::Linux,
        arch: Arch::Amd64,
    };
    /// Linux on 64-bit Arm.
    pub const LINUX_ARM64: Self = Self {
        os: Os::Linux,
        arch: Arch::Arm64,
    };
}

impl Os {
    /// The value of `GOOS` and of an image configuration's `os`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linux => "linux",
        }
    }
}

impl Arch {
    /// The value of `GOARCH` and of an image configuration's `architecture`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os.as_str(), self.arch.as_str())
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "linux/amd64" => Ok(Self::LINUX_AMD64),
            "linux/arm64" => Ok(Self::LINUX_ARM64),
            other => Err(ParsePlatformError(other.to_owned())),
        }
    }
}

impl TryFrom<String> for Platform {
    type Error = ParsePlatformError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_round_trip() {
        for platform in [Platform::LINUX_AMD64, Platform::LINUX_ARM64] {
            assert_eq!(platform.to_string().parse(), Ok(platform));
            let json = serde_json::to_string(&platform).unwrap();
            assert_eq!(json, format!("\"{platform}\""));
            assert_eq!(serde_json::from_str::<Platform>(&json).unwrap(), platform);
        }
    }

    #[test]
    fn other_platforms_are_refused_by_name() {
        let error = "windows/amd64".parse::<Platform>().unwrap_err();
        assert!(error.to_string().contains("`windows/amd64`"));
    }
}
