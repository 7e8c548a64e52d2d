//! Lists of many pages, read to their end.

use std::future::Future;

use serde_json::Value;

use crate::api::{Api, Sent};
use crate::failure::Failure;

/// The most that management puts on a page.
const LARGEST: u64 = 1000;

/// What the pages of a list say together.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) items: Vec<Value>,
    /// Servers that could not be asked, so that the list may not be whole.
    pub(crate) missing: Vec<Value>,
}

impl Api {
    /// Reads so many items of a list, or all. `page` asks for one page, with the number of its items and the cursor of the page before.
    pub(crate) async fn pages<Asked>(
        &self,
        limit: Option<u64>,
        page: impl Fn(i64, Option<String>) -> Asked,
    ) -> Result<Listed, Failure>
    where
        Asked: Future<Output = Sent<Value>>,
    {
        let (mut listed, mut cursor) = (Listed::default(), None);
        loop {
            let left = limit.map(|limit| limit.saturating_sub(listed.items.len() as u64));
            if left == Some(0) {
                return Ok(listed);
            }
            let size = left.unwrap_or(LARGEST).min(LARGEST);
            let mut answer = self.answer(page(size as i64, cursor)).await?;
            listed.items.append(&mut taken(&mut answer, "items"));
            // Each page names them.
            for server in taken(&mut answer, "missing") {
                if !listed.missing.contains(&server) {
                    listed.missing.push(server);
                }
            }
            cursor = answer.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() {
                return Ok(listed);
            }
        }
    }
}

/// The items of a list that has one page.
pub(crate) fn items(answer: &Value) -> &[Value] {
    answer
        .get("items")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice)
}

fn taken(answer: &mut Value, member: &str) -> Vec<Value> {
    let found = answer.get_mut(member).and_then(Value::as_array_mut);
    found.map(std::mem::take).unwrap_or_default()
}
