use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that answers each request by its target: a body, and where the next page begins.
async fn server(
    answer: impl Fn(&str) -> (String, Option<String>) + Send + 'static,
) -> Result<Api, CallError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut link, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(link.read_u8().await.unwrap());
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let (body, next) = answer(request.split(' ').nth(1).unwrap());
            let next = next.map_or(String::new(), |next| format!("x-next-cursor: {next}\r\n"));
            let length = body.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n{next}\r\n"
            );
            let whole = [head, body].concat();
            // Whoever has heard enough hangs up.
            let _hung_up = link.write_all(whole.as_bytes()).await;
        }
    });
    Api::new(port, "p".into(), Duration::from_secs(60))
}

/// A number that a target names.
fn number(target: &str, name: &str) -> Option<usize> {
    let (_, rest) = target.split_once(&format!("{name}="))?;
    rest.split('&').next()?.parse().ok()
}

/// A page of a session that holds so many messages, each of this length.
fn page(target: &str, all: usize, length: usize) -> (String, Option<String>) {
    let end = number(target, "before").unwrap_or(all);
    let start = end.saturating_sub(number(target, "limit").unwrap());
    let text = "x".repeat(length);
    let messages: Vec<Value> = (start..end)
        .map(|n| json!({ "info": { "id": format!("msg_{n}") }, "parts": [{ "text": text }] }))
        .collect();
    let next = (start > 0).then(|| start.to_string());
    (json!(messages).to_string(), next)
}

async fn read(api: &Api, back_to: &str) -> Vec<String> {
    let fits = |m: &wire::Message| m.info.id == back_to;
    let all = api.messages(Path::new("/w"), "ses_1", fits).await.unwrap();
    all.into_iter().map(|m| m.info.id).collect()
}

fn names(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("msg_{n}")).collect()
}

#[tokio::test]
async fn a_long_session_is_read_page_by_page_as_far_back_as_is_needed() {
    let api = server(|target| page(target, 120, 1)).await.unwrap();
    assert_eq!(read(&api, "no").await, names(0, 120));
    assert_eq!(read(&api, "msg_75").await, names(70, 120));
    assert_eq!(read(&api, "msg_60").await, names(20, 120));
}

#[tokio::test]
async fn a_page_that_is_too_long_is_read_in_parts() {
    let mut api = server(|target| page(target, 60, 100)).await.unwrap();
    api.most = 1_000;
    assert_eq!(read(&api, "no").await, names(0, 60));
    api.most = 100;
    let whole = api.messages(Path::new("/w"), "ses_1", |_| false).await;
    assert!(matches!(whole, Err(CallError::Long(_, 100))), "{whole:?}");
}

#[tokio::test]
async fn pages_in_a_circle_come_to_an_end() {
    let api = server(|target| {
        let (body, _) = page(target, 500, 1);
        let next = if target.contains("before=100") {
            "200"
        } else {
            "100"
        };
        (body, Some(next.to_owned()))
    });
    let api = api.await.unwrap();
    assert_eq!(read(&api, "no").await.len(), 150);
}
