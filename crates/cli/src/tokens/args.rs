use crate::reach::ReachArgs;
use clap::{Args, Subcommand};

/// Bearer tokens for programs that use the API
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct TokensArgs {
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
    #[command(subcommand)]
    pub(crate) command: TokensCommand,
}

/// What can be done with tokens.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum TokensCommand {
    /// Make a token, and print it with its secret: that is shown once
    Create(CreateToken),
    /// List tokens, the oldest first
    List {
        /// Only those with exactly this
        #[arg(long)]
        metadata: Option<String>,
    },
    /// Show a token
    Get {
        /// The token, as `tokens list` shows it: tok_...
        id: String,
    },
    /// Change what a token allows, or what is said about it; its secret stays
    Update(UpdateToken),
    /// Delete a token: it opens nothing any more
    Delete {
        /// The token, as `tokens list` shows it: tok_...
        id: String,
    },
}

/// What a token is to be.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct CreateToken {
    /// A note of yours: what it is for
    #[arg(long)]
    pub(crate) metadata: Option<String>,
    /// What it allows, SUBJECT[:ACTION[:OBJECT]]; may be given several times, or several with commas [default: all that you may do, without admin and event_hooks:lambda]
    #[arg(long = "acl", value_name = "PERMISSION", value_delimiter = ',')]
    pub(crate) acl: Vec<String>,
    /// Only in this tenant
    #[arg(long)]
    pub(crate) tenant: Option<String>,
}

/// What is to be different about one.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct UpdateToken {
    /// The token, as `tokens list` shows it: tok_...
    pub(crate) id: String,
    /// A note of yours: what it is for
    #[arg(long)]
    pub(crate) metadata: Option<String>,
    /// What it allows from now on, SUBJECT[:ACTION[:OBJECT]]; may be given several times, or several with commas
    #[arg(long = "acl", value_name = "PERMISSION", value_delimiter = ',')]
    pub(crate) acl: Vec<String>,
}
