//! Lists in pages. A token names the last item that was given, so that pages neither repeat nor lose an item when the list grows or shrinks in between.

use super::Result;
use super::request::{Request, invalid};

/// One page of `items`, which come with keys that only grow (or only shrink, when `descending`).
pub(super) fn page<T>(
    items: impl Iterator<Item = (String, T)>,
    descending: bool,
    request: Request<'_>,
    size: u64,
    most: u64,
) -> Result<(Vec<T>, Option<String>)> {
    let size = request.count("maxResults", 1, most)?.unwrap_or(size);
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let after = request.text("nextToken")?.map(decode).transpose()?;
    let mut items = items
        .filter(|(key, _)| match &after {
            None => true,
            Some(after) if descending => key < after,
            Some(after) => key > after,
        })
        .peekable();
    let mut given = Vec::new();
    let mut last = String::new();
    for (key, item) in items.by_ref().take(size) {
        given.push(item);
        last = key;
    }
    let token = items.peek().is_some().then(|| hex::encode(last));
    Ok((given, token))
}

fn decode(token: &str) -> Result<String> {
    hex::decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| invalid("Invalid token."))
}
