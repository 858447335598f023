//! Authentication: bearer tokens and what they may do. The only place where a [`Principal`] is made.

use subtle::ConstantTimeEq;
use worker::Request;

use super::error::ApiError;
use crate::api::code::Code;
use crate::api::routes::Scope;
use crate::edge::host::config::Config;
use crate::messages::registry::Registrant;

/// A caller and what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    is_admin: bool,
    is_reader: bool,
    is_ingester: bool,
}

impl Principal {
    /// Who sends this request.
    pub fn of(request: &Request, config: &Config) -> Self {
        let header = request.headers().get("authorization").ok().flatten().unwrap_or_default();
        Self::of_token(bearer(&header).unwrap_or_default(), config)
    }

    /// Who sends this token in a body: it may do no more than the token of a page.
    pub fn of_page(token: &str, config: &Config) -> Self {
        let whoever = Self::of_token(token, config);
        if config.auth_disabled { whoever } else { Self { is_admin: false, is_reader: false, ..whoever } }
    }

    fn of_token(token: &str, config: &Config) -> Self {
        if config.auth_disabled {
            return Self { is_admin: true, is_reader: true, is_ingester: true };
        }
        Self {
            is_admin: is_one_of(token, &config.admin_tokens),
            is_reader: is_one_of(token, &config.read_tokens),
            is_ingester: is_one_of(token, &config.ingest_tokens),
        }
    }

    /// The names of what it may do, ascending.
    pub fn scopes(self) -> Vec<&'static str> {
        let all = [
            (Scope::Admin, self.is_admin),
            (Scope::Ingest, self.is_admin || self.is_ingester),
            (Scope::Read, self.is_admin || self.is_reader),
        ];
        all.into_iter().filter(|(_, may)| *may).filter_map(|(scope, _)| scope.name()).collect()
    }

    /// Lets through who may.
    ///
    /// # Errors
    /// [`Code::Unauthorized`] for an unknown caller, [`Code::Forbidden`] for a known one that may not.
    pub fn require(self, scope: Scope) -> Result<(), ApiError> {
        let (may, name) = match scope {
            Scope::Anyone => return Ok(()),
            Scope::Ingest => (self.is_admin || self.is_ingester, "an ingest or admin"),
            Scope::Read => (self.is_admin || self.is_reader, "a read or admin"),
            Scope::Admin => (self.is_admin, "an admin"),
        };
        if may {
            Ok(())
        } else if self.is_admin || self.is_reader || self.is_ingester {
            Err(ApiError::new(Code::Forbidden, format!("this needs {name} token")))
        } else {
            Err(ApiError::new(Code::Unauthorized, format!("this needs {name} token in `Authorization: Bearer TOKEN`")))
        }
    }

    /// On whose behalf it registers names.
    pub const fn registrant(self) -> Registrant {
        if self.is_admin { Registrant::Admin } else { Registrant::Ingest }
    }

    /// Lets through who may make an event a goal while sending events.
    ///
    /// # Errors
    /// [`Code::Forbidden`] otherwise.
    pub fn require_ensure_goal(self, config: &Config) -> Result<(), ApiError> {
        if self.is_admin || self.is_ingester && config.ingest_may_add_goals {
            return Ok(());
        }
        let what = "ensure_goal needs an admin token, or INGEST_MAY_ADD_GOALS=true for ingest tokens";
        Err(ApiError::new(Code::Forbidden, what))
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares with every token, in a time that depends on lengths only.
fn is_one_of(token: &str, tokens: &[String]) -> bool {
    tokens.iter().fold(false, |found, known| found | bool::from(known.as_bytes().ct_eq(token.as_bytes())))
}
