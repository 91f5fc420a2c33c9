use super::{Gate, Model, Reply, Tokens};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn ask(model: &Model, stream: bool) -> String {
    let body = json!({
        "model": "m1", "stream": stream, "tool_choice": "required",
        "messages": [
            { "role": "system", "content": "be brief" },
            { "role": "user", "content": [{ "type": "text", "text": "go" }] },
            { "role": "assistant", "content": null, "tool_calls": [{ "function": { "name": "bash", "arguments": "{}" } }] },
            { "role": "tool", "content": "ok" },
        ],
        "tools": [{ "type": "function", "function": { "name": "bash" } }],
    })
    .to_string();
    let mut socket = TcpStream::connect(("127.0.0.1", model.port)).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-session-id: ses_1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_script_sees_the_request_and_answers_it() {
    let model = Model::start(|r| {
        assert_eq!((r.asked(), r.step(), r.results()), ("go", 1, vec!["ok"]));
        Reply::text("done").tokens(Tokens::new(7, 3, 2))
    })
    .await;
    let streamed = ask(&model, true).await;
    assert!(
        streamed.contains(r#""content":"done""#) && streamed.contains("[DONE]"),
        "{streamed}"
    );
    let whole = ask(&model, false).await;
    assert!(
        whole.contains(r#""finish_reason":"stop""#) && whole.contains(r#""prompt_tokens":7"#),
        "{whole}"
    );
    let log = model.log();
    assert_eq!(
        (log[0].session.as_deref(), log[0].system.as_str()),
        (Some("ses_1"), "be brief")
    );
    assert!(log[0].must_call && log[0].offers("bash") && log[0].stream && !log[1].stream);
}

#[tokio::test]
async fn a_held_answer_comes_when_its_gate_opens() {
    let gate = Gate::default();
    let held = gate.clone();
    let model = Model::start(move |_| Reply::text("one").and_hold(&held).and_text("two")).await;
    let (first, second, ()) = tokio::join!(ask(&model, true), ask(&model, true), async {
        model.until(|log| log.len() == 2).await;
        gate.open();
    });
    assert!(first.contains("two") && second.contains("two"));
    assert_eq!(model.peak(), 2);
}

#[tokio::test]
async fn a_refusal_carries_its_header() {
    let model = Model::start(|_| Reply::busy("7")).await;
    let answer = ask(&model, true).await;
    assert!(
        answer.starts_with("HTTP/1.1 429") && answer.contains("retry-after: 7"),
        "{answer}"
    );
}
