//! How an instance is started.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use crate::ecs;
use crate::runner::Helper;

/// How an instance is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder that holds everything of the instance.
    pub home: PathBuf,
    /// Port on 127.0.0.1; 0 for any free one. Without one: that of the last run, else [`crate::instance::DEFAULT_PORT`].
    pub port: Option<u16>,
    /// How long things take.
    pub pace: Pace,
    /// The program that is started as daemon (`PROGRAM local serve …`) and as helper of tasks (`PROGRAM local sandbox …`).
    pub program: PathBuf,
}

impl Options {
    /// The usual options: the usual port, a quick pace, this program.
    pub fn new(home: PathBuf) -> std::io::Result<Self> {
        Ok(Self {
            home,
            port: None,
            pace: Pace::Quick,
            program: std::env::current_exe()?,
        })
    }

    /// The arguments with which [`Self::program`] serves.
    pub(crate) fn serve_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["local".into(), "serve".into()];
        arguments.extend(["--home".into(), self.home.clone().into()]);
        arguments.extend(["--pace".into(), self.pace.name().into()]);
        if let Some(port) = self.port {
            arguments.extend(["--port".into(), port.to_string().into()]);
        }
        arguments
    }

    pub(super) fn helper(&self) -> Helper {
        Helper {
            program: self.program.clone(),
            args: vec!["local".into(), "sandbox".into()],
        }
    }
}

/// How long things take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As short as they can be: a deployment in seconds.
    #[default]
    Quick,
    /// About as long as on AWS.
    Aws,
}

impl Pace {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Aws => "aws",
        }
    }

    pub(super) fn durations(self) -> ecs::Pace {
        match self {
            Self::Quick => ecs::Pace::quick(),
            Self::Aws => ecs::Pace::aws(),
        }
    }
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Quick, Self::Aws]
            .into_iter()
            .find(|pace| pace.name() == text)
            .ok_or_else(|| format!("'{text}' is not a pace: use 'quick' or 'aws'"))
    }
}
