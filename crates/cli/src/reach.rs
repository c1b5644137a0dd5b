use crate::client::AdminClient;
use crate::token::Token;
use anyhow::Result;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

/// Which daemon is asked, and as whom.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub struct ReachArgs {
    /// The daemon's HTTP listener, instead of its admin socket; needs a token unless it is on this machine
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// The certificates that an https:// endpoint is believed by, in PEM form [default: the system's]
    #[arg(long, global = true, env = "WAYBILL_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// A file with the token to show; else that of the environment variable WAYBILL_TOKEN
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

impl ReachArgs {
    /// The admin socket, unless an endpoint is named. A token that is given is shown to either.
    ///
    /// # Errors
    /// When the endpoint is none, or the file of the token or of the certificates cannot be read.
    pub(crate) fn client(&self, socket: &Path) -> Result<AdminClient> {
        let client = match &self.endpoint {
            Some(endpoint) => AdminClient::at(endpoint, self.ca_file.as_deref())?,
            None => AdminClient::new(socket),
        };
        // The socket is the operator's own: what a script left in the environment must not make less of them.
        if self.endpoint.is_none() && self.token_file.is_none() {
            return Ok(client);
        }
        Ok(match Token::given(self.token_file.as_deref())? {
            Some(token) => client.with_token(&token),
            None => client,
        })
    }
}

/// Commands, and the daemon that they are for.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct At<C: Subcommand> {
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
    #[command(subcommand)]
    pub(crate) command: C,
}

impl<C: Subcommand> From<C> for At<C> {
    /// For the daemon behind the admin socket.
    fn from(command: C) -> Self {
        At { reach: ReachArgs::default(), command }
    }
}

/// What a command is told, and the daemon that it is for.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct With<A: Args> {
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
    #[command(flatten)]
    pub(crate) args: A,
}
