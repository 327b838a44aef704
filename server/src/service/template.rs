//! What the services of templates share: who sees and changes one, and what may stand in one.

use crate::{
    actor::Actor,
    error::{Error, Result},
    id::{EnterpriseId, TeamId, TemplateId},
    service::{authorize, problems::Problems},
    store::{
        Conn, member, team,
        template::{Filter, Template},
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ropeway_domain::access::{EnterpriseAction, EnterpriseRole, TeamAction, check_enterprise, check_team};

/// The most categories of a template.
pub const MAX_CATEGORIES: usize = 20;

/// The most characters of a category.
pub const MAX_CATEGORY: usize = 40;

/// The most bytes of a description.
pub const MAX_DESCRIPTION: usize = 10 << 10;

/// The most bytes of a logo.
pub const MAX_LOGO: usize = 256 << 10;

/// An image that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    /// The file.
    pub bytes: Vec<u8>,
    /// What it is, by its first bytes.
    pub media_type: &'static str,
}

/// A template that somebody may change, delete, and publish to. One that belongs to a team is its developers'; one that
/// belongs to none is the administrators'.
pub async fn changeable(conn: &mut Conn, actor: &Actor, id: TemplateId) -> Result<Template> {
    let row = authorize::template(conn, actor, id).await?;
    may_keep(conn, actor, row.enterprise_id, row.team_id).await?;
    Ok(row)
}

/// Whether somebody may make and change templates of a team, or of no team.
pub async fn may_keep(conn: &mut Conn, actor: &Actor, enterprise: EnterpriseId, of: Option<TeamId>) -> Result<()> {
    let standing = authorize::standing(conn, actor, enterprise, of).await?;
    let allowed = match of {
        Some(_) => check_team(standing, TeamAction::Publish),
        None => check_enterprise(standing.enterprise, EnterpriseAction::ManageTemplates),
    };
    // Whoever got here sees the template, or the enterprise: only the role is missing.
    allowed.map_err(|denial| match authorize::refuse(denial, "the team") {
        Error::NotFound(_) if of.is_some() && standing.enterprise.is_some() => {
            Error::Forbidden("this needs the role DEVELOPER in the team that the template belongs to".into())
        }
        error => error,
    })
}

/// A team of an enterprise in which somebody may make templates. One that they do not see does not exist for them.
pub async fn team_of(conn: &mut Conn, actor: &Actor, enterprise: EnterpriseId, id: TeamId) -> Result<team::Team> {
    let team = authorize::team(conn, actor, id, TeamAction::Publish).await?;
    if team.enterprise_id == enterprise { Ok(team) } else { Err(Error::NotFound("the team")) }
}

/// Whose templates somebody sees in an enterprise.
pub async fn seen_by(conn: &mut Conn, actor: &Actor, enterprise: EnterpriseId) -> Result<Filter> {
    let role = member::role(conn, enterprise, actor.user_id).await?;
    check_enterprise(role, EnterpriseAction::View).map_err(|denial| authorize::refuse(denial, "the enterprise"))?;
    let teams = if role == Some(EnterpriseRole::Administrator) {
        None
    } else {
        let teams = team::memberships(conn, enterprise, actor.user_id).await?;
        Some(teams.into_iter().map(|(id, ..)| id).collect())
    };
    Ok(Filter { teams, search: None, category: None, scope: None })
}

/// Checks a description.
pub fn check_description(problems: &mut Problems, description: &str) {
    if description.len() > MAX_DESCRIPTION {
        problems.at("description", "TOO_LONG", format!("a description has at most {MAX_DESCRIPTION} bytes"));
    }
    if description.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        problems.at("description", "INVALID", "a description has no control characters but line breaks and tabs");
    }
}

/// Checks categories and gives them back trimmed, each once, in order.
pub fn check_categories(problems: &mut Problems, categories: &[String]) -> Vec<String> {
    let mut found: Vec<String> = categories.iter().map(|category| category.trim().to_owned()).collect();
    found.sort();
    found.dedup();
    if found.len() > MAX_CATEGORIES {
        problems.at("categories", "TOO_MANY", format!("a template has at most {MAX_CATEGORIES} categories"));
    }
    let is_category =
        |text: &String| (1..=MAX_CATEGORY).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if !found.iter().all(is_category) {
        let message = format!("a category has 1 to {MAX_CATEGORY} characters, none of them a control character");
        problems.at("categories", "INVALID", message);
    }
    found
}

/// Checks a logo, written as `data:image/png;base64,...`. What it is, is told by its first bytes.
pub fn check_logo(problems: &mut Problems, text: &str) -> Option<Logo> {
    match logo(text) {
        Ok(logo) => Some(logo),
        Err(message) => {
            problems.at("logo", "INVALID_LOGO", message);
            None
        }
    }
}

/// A logo as clients get it, in the form in which it was given.
pub fn data_url(template: &Template) -> Option<String> {
    let (bytes, media_type) = (template.logo.as_ref()?, template.logo_type.as_ref()?);
    Some(format!("data:{media_type};base64,{}", STANDARD.encode(bytes)))
}

fn logo(text: &str) -> Result<Logo, String> {
    const FORM: &str = "a logo is written data:image/png;base64,... (or image/jpeg, image/webp)";
    if text.len() > MAX_LOGO.div_ceil(3) * 4 + 64 {
        return Err(format!("a logo has at most {MAX_LOGO} bytes"));
    }
    let rest = text.strip_prefix("data:").ok_or(FORM)?;
    let (said, data) = rest.split_once(";base64,").ok_or(FORM)?;
    let bytes = STANDARD.decode(data).map_err(|_| FORM)?;
    if bytes.len() > MAX_LOGO {
        return Err(format!("a logo has at most {MAX_LOGO} bytes, not {}", bytes.len()));
    }
    let media_type = media_type(&bytes).ok_or("a logo is a PNG, JPEG or WebP image; this is none of them")?;
    if said != media_type {
        return Err(format!("this is {media_type} and not what it says"));
    }
    Ok(Logo { bytes, media_type })
}

fn media_type(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some("image/webp")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(media_type: &str, bytes: &[u8]) -> String {
        format!("data:{media_type};base64,{}", STANDARD.encode(bytes))
    }

    #[test]
    fn a_logo_is_what_its_first_bytes_say() {
        let png = b"\x89PNG\r\n\x1a\n and more";
        assert_eq!(logo(&url("image/png", png)), Ok(Logo { bytes: png.to_vec(), media_type: "image/png" }));
        assert!(logo(&url("image/jpeg", b"\xff\xd8\xff\xe0")).is_ok());
        assert!(logo(&url("image/webp", b"RIFF\0\0\0\0WEBPVP8 ")).is_ok());
        let mut large = png.to_vec();
        large.resize(MAX_LOGO + 1, 0);
        for bad in [
            String::new(),
            "https://example.org/logo.png".into(),
            url("image/jpeg", png),
            url("image/svg+xml", b"<svg/>"),
            url("image/png", b"<script>"),
            "data:image/png;base64,***".into(),
            url("image/png", &large),
        ] {
            assert!(logo(&bad).is_err(), "{}", &bad[..bad.len().min(40)]);
        }
    }

    #[test]
    fn categories_are_trimmed_and_each_is_there_once() {
        let mut problems = Problems::new();
        let given = [" web", "web ", "amd64"].map(str::to_owned);
        assert_eq!(check_categories(&mut problems, &given), ["amd64", "web"]);
        assert!(problems.is_empty());
        for bad in [vec![String::new()], vec!["x".repeat(41)], (0..21).map(|n| n.to_string()).collect()] {
            let mut problems = Problems::new();
            check_categories(&mut problems, &bad);
            assert!(!problems.is_empty(), "{bad:?}");
        }
    }
}
