//! `local token`: an identity token, as CI's issuer would give one to a job.

use local_cloud::client::{Instance, TokenRequest};

use crate::ui;

/// Arguments of `local token`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For whom it is.
    #[arg(long, default_value = "sts.amazonaws.com")]
    audience: String,
    /// Of whom it speaks, such as `repo:acme/api:environment:production`.
    #[arg(long)]
    subject: String,
    /// Who says so, such as `https://token.actions.githubusercontent.com`; this instance when left out.
    #[arg(long)]
    issuer: Option<String>,
    /// More that it says, such as `ref=refs/heads/main`. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = crate::commands::deploy::variable)]
    claim: Vec<(String, String)>,
    /// How long it is valid.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=86400))]
    valid: u64,
}

/// Runs `local token`.
pub async fn run(args: Args, instance: &Instance) -> anyhow::Result<()> {
    let token = instance
        .token(&TokenRequest {
            issuer: args.issuer,
            audience: args.audience,
            subject: args.subject,
            claims: args.claim.into_iter().collect(),
            seconds: args.valid,
        })
        .await?;
    ui::print(&format!("{token}\n"));
    Ok(())
}
