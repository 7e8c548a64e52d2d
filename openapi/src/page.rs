//! Keyset pages: `{"items": [...], "next_cursor": "..."}`, the same link in a `Link` header.

use std::str::FromStr;

use data_encoding::HEXLOWER;
use poem::http::Uri;
use poem_openapi::payload::Json;
use poem_openapi::types::{self, Example, ParseFromJSON, ToJSON};
use poem_openapi::{ApiResponse, Object};
use serde_json::Value;

/// Items of a page when `limit` is not given.
pub const DEFAULT_LIMIT: usize = 50;
/// The most items of a page.
pub const MAX_LIMIT: usize = 1000;

/// One page of a list.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Page<T: ParseFromJSON + ToJSON + types::Type + Example> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins: pass it as `cursor`. Absent on the last page.
    pub next_cursor: Option<String>,
}

impl<T: ParseFromJSON + ToJSON + types::Type + Example> Example for Page<T> {
    fn example() -> Self {
        Self {
            items: vec![T::example()],
            next_cursor: None,
        }
    }
}

/// A page with its `Link` header: the answer of every list operation.
#[derive(Debug, ApiResponse)]
pub enum PageAnswer<T: ParseFromJSON + ToJSON + types::Type + Example> {
    /// A page.
    #[oai(status = 200)]
    Ok(
        Json<Page<T>>,
        /// The next page, as `<...>; rel="next"` (RFC 8288).
        #[oai(header = "Link")]
        Option<String>,
    ),
}

impl<T: ParseFromJSON + ToJSON + types::Type + Example> PageAnswer<T> {
    /// Makes the page from up to `limit + 1` rows ([`PageLimit::fetch`]): the last row only shows that there is a next page.
    /// `key` gives the position of a row, `uri` is the request's
    /// ([`RequestUri`](crate::middleware::RequestUri)).
    pub fn new<Row, K: Position>(
        rows: Vec<Row>,
        limit: PageLimit,
        uri: &Uri,
        key: impl FnOnce(&Row) -> K,
        item: impl FnMut(Row) -> T,
    ) -> Self {
        let Cut {
            rows,
            next_cursor,
            link,
        } = Cut::new(rows, limit, uri, key);
        let items = rows.into_iter().map(item).collect();
        Self::Ok(Json(Page { items, next_cursor }), link)
    }
}

/// The rows of one page, and where the next one begins: for an answer that says more than [`Page`].
#[derive(Debug)]
pub struct Cut<Row> {
    /// The rows.
    pub rows: Vec<Row>,
    /// The cursor of the next page.
    pub next_cursor: Option<String>,
    /// The `Link` header (RFC 8288).
    pub link: Option<String>,
}

impl<Row> Cut<Row> {
    /// As [`PageAnswer::new`].
    pub fn new<K: Position>(mut rows: Vec<Row>, limit: PageLimit, uri: &Uri, key: impl FnOnce(&Row) -> K) -> Self {
        let more = rows.len() > limit.get();
        rows.truncate(limit.get());
        let next_cursor = rows.last().filter(|_| more).map(|last| key(last).to_cursor());
        let link = next_cursor.as_ref().map(|cursor| link_to(uri, cursor));
        Self {
            rows,
            next_cursor,
            link,
        }
    }
}

/// `limit`: 1 to 1000, 50 when absent. Use it as `limit: Query<Option<PageLimit>>` with `unwrap_or_default()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit(usize);

impl PageLimit {
    /// Items on the page.
    #[must_use]
    pub fn get(self) -> usize {
        self.0
    }

    /// Rows to ask the database for: one more than fits, to know whether there is a next page.
    #[must_use]
    pub fn fetch(self) -> u64 {
        self.0 as u64 + 1
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self(DEFAULT_LIMIT)
    }
}

impl FromStr for PageLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(Self(limit)),
            Ok(_) | Err(_) => Err(format!("must be a number from 1 to {MAX_LIMIT}")),
        }
    }
}

crate::scalar_impls! {
    PageLimit, "integer", "int32",
    |schema| {
        schema.minimum = Some(1.0);
        schema.maximum = Some(1000.0);
        schema.default = Some(Value::from(DEFAULT_LIMIT));
    },
    |text| PageLimit::from_str(text),
    |value| Value::from(value.0)
}

/// What a list is ordered by, as a cursor says it: every text that keeps the cursor's pattern is a position.
pub trait Position {
    /// The cursor of the page after it.
    fn to_cursor(&self) -> String;
}

impl Position for i64 {
    fn to_cursor(&self) -> String {
        format!("{self:016x}")
    }
}

impl Position for String {
    fn to_cursor(&self) -> String {
        HEXLOWER.encode(self.as_bytes())
    }
}

crate::text_scalar! {
    /// `cursor` of a list in the order of ids, unchanged from `next_cursor`. Use it as `cursor: Query<Option<IdCursor>>`.
    pub struct IdCursor {
        format: "id-cursor",
        pattern: "^[0-7][0-9a-f]{15}$",
        length: 16..=16,
        example: "000000000000002a",
        check: |_text| Ok(()),
    }
}

impl IdCursor {
    /// The id that the page begins after.
    #[must_use]
    pub fn position(&self) -> i64 {
        // Whatever keeps the pattern is an id.
        i64::from_str_radix(self.as_str(), 16).unwrap_or_default()
    }
}

crate::text_scalar! {
    /// `cursor` of a list in the order of names, unchanged from `next_cursor`. Use it as `cursor: Query<Option<NameCursor>>`.
    pub struct NameCursor {
        format: "name-cursor",
        pattern: "^(?:[2-7][0-9a-f]){1,64}$",
        length: 2..=128,
        example: "616c696365",
        check: |_text| Ok(()),
    }
}

impl NameCursor {
    /// The name that the page begins after: ASCII, as the pattern allows no other bytes.
    #[must_use]
    pub fn position(&self) -> String {
        let bytes = HEXLOWER.decode(self.as_str().as_bytes()).unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }
}

/// The request's own URL with another cursor.
fn link_to(uri: &Uri, cursor: &str) -> String {
    // `types::Type` has an `is_empty` of its own for `&str`, so it is not imported here.
    let kept = uri.query().unwrap_or_default().split('&');
    let kept = kept.filter(|pair| !pair.is_empty() && pair.split('=').next() != Some("cursor"));
    let query: Vec<&str> = kept.collect();
    let separator = if query.is_empty() { "" } else { "&" };
    format!(
        "<{}?{}{separator}cursor={cursor}>; rel=\"next\"",
        uri.path(),
        query.join("&")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_round_trips_and_anything_else_is_refused() {
        for id in [0, 42, i64::MAX] {
            assert_eq!(id.to_cursor().parse::<IdCursor>().unwrap().position(), id);
        }
        let name = "alice@example.org".to_owned();
        assert_eq!(name.to_cursor().parse::<NameCursor>().unwrap().position(), name);

        for bad in ["", "42", "NDI", "ffffffffffffffff", "000000000000002A", "not a cursor!"] {
            assert!(bad.parse::<IdCursor>().is_err(), "{bad}");
        }
        for bad in ["", "6", "616", "00", "ff", "zz"] {
            assert!(bad.parse::<NameCursor>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_next_page_keeps_the_filters() {
        let uri: Uri = "/api/users?active=true&cursor=old&limit=2".parse().unwrap();
        assert_eq!(
            link_to(&uri, "new"),
            "</api/users?active=true&limit=2&cursor=new>; rel=\"next\""
        );
        assert_eq!(
            link_to(&Uri::from_static("/api/users"), "new"),
            "</api/users?cursor=new>; rel=\"next\""
        );
    }

    #[test]
    fn the_row_too_many_only_says_that_there_is_more() {
        let limit: PageLimit = "2".parse().unwrap();
        let page = |rows: Vec<i64>| match PageAnswer::new(
            rows,
            limit,
            &Uri::from_static("/n"),
            |row| *row,
            |row| Number { n: row },
        ) {
            PageAnswer::Ok(Json(page), link) => (page.items.len(), page.next_cursor, link.is_some()),
        };
        assert_eq!(page(vec![1, 2, 3]), (2, Some(2_i64.to_cursor()), true));
        assert_eq!(page(vec![1, 2]), (2, None, false));
        assert_eq!(page(vec![]), (0, None, false));
    }

    #[test]
    fn limits_outside_1_to_1000_are_refused() {
        for text in ["0", "1001", "-1", "", "ten"] {
            assert!(text.parse::<PageLimit>().is_err(), "{text}");
        }
    }

    #[derive(Object)]
    #[oai(example)]
    struct Number {
        n: i64,
    }

    impl Example for Number {
        fn example() -> Self {
            Self { n: 1 }
        }
    }
}
