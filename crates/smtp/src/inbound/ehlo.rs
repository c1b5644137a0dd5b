use super::reply::Reply;
use super::session::{Session, State};
use waybill_policy::{PolicyError, Value};

/// What we can always do, in the order in which clients have always seen it.
const EXTENSIONS: [&str; 4] = ["PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8"];
/// What a script may have in its list, and we offer only where it can be done.
const SOMETIMES: [&str; 3] = ["STARTTLS", "AUTH", "XCLIENT"];

impl Session {
    pub(super) async fn ehlo(&mut self, name: &str) -> Result<Reply, Reply> {
        self.introduce(name);
        self.extended = true;
        let event = "smtp_server_ehlo";
        let offers = self.offers();
        let list = || Value::List(offers.iter().map(|extension| (*extension).into()).collect());
        let returned = self.fire(event, || vec![name.into(), self.connection(), list()]).await?;
        let extensions = match returned {
            None => None,
            Some(returned) => texts(returned.first()).map_err(|error| self.failed(event, &error))?,
        };
        let mut text = format!("{} Aloha {name}", self.host);
        match extensions {
            None => offers.iter().for_each(|extension| add(&mut text, extension)),
            Some(chosen) => {
                chosen.iter().filter(|line| can_be_done(line, &offers)).for_each(|line| add(&mut text, line));
            }
        }
        self.state = State::Idle;
        Ok(Reply::new(250, text))
    }

    /// What this connection may use now.
    fn offers(&self) -> Vec<&'static str> {
        let mut offers = EXTENSIONS.to_vec();
        offers.push(if self.tls.is_none() { "STARTTLS" } else { "AUTH PLAIN" });
        if self.may_xclient {
            offers.push(super::xclient::OFFER);
        }
        offers
    }

    pub(super) async fn helo(&mut self, name: &str) -> Result<Reply, Reply> {
        self.introduce(name);
        self.extended = false;
        self.fire("smtp_server_ehlo", || vec![name.into(), self.connection()]).await?;
        self.state = State::Idle;
        Ok(Reply::new(250, format!("{} Aloha {name}", self.host)))
    }

    /// Before policy speaks, so that it finds the name in the meta, and the record of a refusal too.
    fn introduce(&mut self, name: &str) {
        name.clone_into(&mut self.hello);
        self.set_meta("ehlo_domain", name);
    }
}

fn add(text: &mut String, extension: &str) {
    text.push('\n');
    text.push_str(&extension.replace(['\r', '\n'], " "));
}

/// Whether an extension that a script wants to offer is no empty promise: it would cost the client a try.
fn can_be_done(line: &str, offers: &[&str]) -> bool {
    let keyword = |line: &str| line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
    let wanted = keyword(line);
    !SOMETIMES.contains(&wanted.as_str()) || offers.iter().any(|offer| keyword(offer) == wanted)
}

/// A list of texts; nil is none.
fn texts(value: &Value) -> Result<Option<Vec<String>>, PolicyError> {
    let unusable = || PolicyError::unusable("expected a list of extensions or nil");
    let text = |item: &Value| match item {
        Value::Bytes(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        _ => Err(unusable()),
    };
    match value {
        Value::Nil => Ok(None),
        Value::List(items) => items.iter().map(text).collect::<Result<_, _>>().map(Some),
        Value::Json(json) => super::config::list(json).map(Some).map_err(|_| unusable()),
        _ => Err(unusable()),
    }
}
