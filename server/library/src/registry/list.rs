//! The tags of a repository, page by page.

use super::Registry;
use crate::auth::Scope;
use crate::error::Error;
use crate::name::{RepositoryName, Tag};
use http::header::{HeaderMap, LINK};

const MAX_PAGE: usize = 1000;

/// Some tags, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPage {
    /// The tags, in the registry's order.
    pub tags: Vec<Tag>,
    /// What to give as `last` for the next page; nothing when this was the last one.
    pub next: Option<String>,
}

#[derive(serde::Deserialize)]
struct Answer {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Registry {
    /// Lists at most `count` tags (1 to 1000) after `last`.
    pub async fn list_tags(
        &self,
        repository: &RepositoryName,
        count: usize,
        last: Option<&str>,
    ) -> Result<TagPage, Error> {
        let count = count.clamp(1, MAX_PAGE);
        let action = format!("listing the tags of {repository}");
        let mut url = self.url(&format!("v2/{repository}/tags/list"), &action)?;
        url.query_pairs_mut().append_pair("n", &count.to_string());
        if let Some(last) = last {
            url.query_pairs_mut().append_pair("last", last);
        }
        let (headers, body) = self
            .get(url.as_str(), &[Scope::pull(repository)], &[], &action, |response| async {
                let headers = response.headers().clone();
                Ok((headers, self.bounded_body(response, self.limits().max_manifest_bytes, &action).await?))
            })
            .await?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| self.protocol(&action, "no list of tags"))?;
        let mut texts = answer.tags.unwrap_or_default();
        let mut next = next_page(&headers, &url);
        // Some registries do not page and give everything, in any order: paged here.
        if texts.len() > count || last.is_some_and(|last| texts.iter().any(|text| text == last)) {
            texts.sort_unstable();
            texts.retain(|text| last.is_none_or(|last| text.as_str() > last));
            let more = texts.len() > count;
            texts.truncate(count);
            next = texts.last().filter(|_| more).cloned();
        }
        let tags: Result<Vec<Tag>, _> = texts.iter().map(|text| text.parse()).collect();
        let tags = tags.map_err(|_| self.protocol(&action, "one of the tags is not valid"))?;
        // Who gives the same cursor again would keep us here for ever.
        if tags.is_empty() || next.as_deref() == last {
            next = None;
        }
        Ok(TagPage { tags, next })
    }
}

/// The `last` of the link to the next page.
fn next_page(headers: &HeaderMap, url: &url::Url) -> Option<String> {
    let text = headers.get(LINK)?.to_str().ok()?;
    let (target, rest) = text.strip_prefix('<')?.split_once('>')?;
    if !rest.contains("next") {
        return None;
    }
    let next = url.join(target).ok()?;
    next.query_pairs().find(|(key, _)| key == "last").map(|(_, value)| value.into_owned())
}
