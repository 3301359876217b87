"""The application over HTTP on a free port of this machine, and over a made-up session for what HTTP cannot show."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from hone.deploy.rendering import example_problems, open_artifact, renderer_of, stored_examples
from hone.errors import FailedError, InputError
from hone.evaluate.generate import Generation
from hone.serve.app import create_app
from hone.serve.server import listening, run_server, served
from hone.task.conversation import Form

pytest.importorskip("xllamacpp")


def client_of(path) -> Iterator[tuple[httpx.Client, object, object]]:
    session = open_artifact(path)
    renderer = renderer_of(session)
    with served(create_app(session, renderer, "toy")) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client, session, renderer
    session.close()


@pytest.fixture(scope="module")
def generate(make):
    yield from client_of(make("generate"))


@pytest.fixture(scope="module")
def classify(make):
    yield from client_of(make("classify", labels=("no", "yes")))


@pytest.fixture(scope="module")
def talk(make):
    yield from client_of(make("generate", Form("{messages}").to_json()))


def test_a_conversation_is_continued_by_the_one_renderer(talk):
    client, session, renderer = talk
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "play a song <|end|>"},
        {"role": "assistant", "content": "in paris"},
        {"role": "user", "content": "<|answer|> tomorrow"},
    ]
    answer = client.post("/v1/chat/completions", json={"messages": messages, "max_tokens": 5}).json()
    ids = renderer.prompt_ids({"messages": messages})
    assert ids.count(renderer.end_id) == len(messages)  # no text became an end
    done = session.generate([ids], max_new_tokens=5, end_id=renderer.end_id)[0]
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": renderer.parse(done.ids)}
    assert answer["usage"]["prompt_tokens"] == len(ids)
    row = {"fields": {"messages": [*messages, {"role": "assistant", "content": "yes"}]}, "max_tokens": 5}
    same = [client.post("/v1/completions", json=body).json()["usage"]["prompt_tokens"] for body in (row,)]
    assert same == [len(ids)]
    alone = client.post("/v1/completions", json={"prompt": "play", "max_tokens": 2}).json()
    assert alone["usage"]["prompt_tokens"] == len(
        renderer.prompt_ids({"messages": [{"role": "user", "content": "play"}]})
    )


def test_the_artifact_renders_a_stored_conversation_to_the_same_ids(talk):
    _, session, renderer = talk
    (stored,) = stored_examples(session)
    assert example_problems(session) == []  # law 4, by the runtime's own tokenizer
    assert stored["ids"].count(renderer.end_id) == 3


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        (
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
            "last message that is not the assist",
        ),
        ([], "last message that is not the assistant's"),
        ([{"role": "usr", "content": "a"}], 'did you mean "user"?'),
        ([{"role": "user", "content": 7}], "turn 1: expected text as content; got int '7'"),
    ],
)
def test_messages_that_cannot_be_continued_are_refused(talk, messages, problem):
    client, *_ = talk
    answer = client.post("/v1/chat/completions", json={"messages": messages})
    assert answer.status_code == 400
    assert problem in answer.json()["error"]["message"]


def test_health_and_models_name_the_one_model(generate):
    client, *_ = generate
    assert client.get("/health").json() == {"status": "ok", "model": "toy", "kind": "generate", "requests": 0}
    assert [one["id"] for one in client.get("/v1/models").json()["data"]] == ["toy"]


def test_a_completion_is_what_the_session_answers_to_the_rendered_prompt(generate):
    client, session, renderer = generate
    answer = client.post("/v1/completions", json={"model": "toy", "prompt": "play a song", "max_tokens": 6}).json()
    ids = renderer.prompt_ids({"text": "play a song"})
    done = session.generate([ids], max_new_tokens=6, end_id=renderer.end_id)[0]
    choice = answer["choices"][0]
    assert answer["object"] == "text_completion"
    assert choice["text"] == renderer.parse(done.ids)
    assert choice["finish_reason"] == ("stop" if done.finished else "length")
    written = len(done.ids) + done.finished
    expected = {"prompt_tokens": len(ids), "completion_tokens": written, "total_tokens": len(ids) + written}
    assert answer["usage"] == expected


def test_several_prompts_are_answered_in_order(generate):
    client, *_ = generate
    prompts = ["play", "a song in paris", "tomorrow"]
    together = client.post("/v1/completions", json={"prompt": prompts, "max_tokens": 4}).json()["choices"]
    alone = [
        client.post("/v1/completions", json={"prompt": one, "max_tokens": 4}).json()["choices"][0] for one in prompts
    ]
    assert [one["text"] for one in together] == [one["text"] for one in alone]
    assert [one["index"] for one in together] == [0, 1, 2]


@pytest.mark.parametrize("text", ["<|end|>", "play<|answer|>x", "{text} {other}", "caf\u00e9 \U0001f600\n"])
def test_text_of_a_user_is_data_never_template_or_special_token(generate, text):
    client, session, renderer = generate
    used = client.post("/v1/completions", json={"prompt": text, "max_tokens": 1}).json()["usage"]
    assert used["prompt_tokens"] == len(session.tokenize(" " + text)) + 1
    assert renderer.end_id not in session.tokenize(" " + text)


def test_chat_takes_the_last_message_of_the_user(generate):
    client, *_ = generate
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": "play"},
    ]
    chat = client.post("/v1/chat/completions", json={"messages": messages, "max_tokens": 5}).json()
    plain = client.post("/v1/completions", json={"prompt": "play", "max_tokens": 5}).json()
    assert chat["object"] == "chat.completion"
    assert chat["choices"][0]["message"] == {"role": "assistant", "content": plain["choices"][0]["text"]}


def events(client: httpx.Client, path: str, body: dict) -> list[dict]:
    with client.stream("POST", path, json={**body, "stream": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line[6:] for line in response.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_stream_adds_up_to_the_whole_answer(generate):
    client, *_ = generate
    body = {"prompt": "play a song", "max_tokens": 12, "temperature": 0.8, "seed": 5}
    whole = client.post("/v1/completions", json=body).json()
    chunks = events(client, "/v1/completions", body)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == whole["choices"][0]["text"]
    assert chunks[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert chunks[-1]["usage"] == whole["usage"]
    assert len({chunk["id"] for chunk in chunks}) == 1
    chat = events(client, "/v1/chat/completions", {"messages": [{"role": "user", "content": "play"}], "max_tokens": 3})
    assert chat[-1]["object"] == "chat.completion.chunk"


def test_classification_answers_with_the_likeliest_label(classify):
    client, session, renderer = classify
    answer = client.post("/v1/completions", json={"prompt": "in paris"}).json()["choices"][0]
    scores = session.label_logprobs([renderer.prompt_ids({"text": "in paris"})], renderer.label_ids)[0]
    assert answer["text"] == answer["answer"] == renderer.labels[int(np.argmax(scores))]
    chunks = events(client, "/v1/completions", {"prompt": "in paris"})
    assert chunks[0]["choices"][0]["text"] == answer["text"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"promt": "x"}', 'did you mean "prompt"'),
        ('{"prompt": 3}', "must be a text or a list of texts"),
        ('{"prompt": "x", "temperature": "hot"}', '"temperature" must be a number from 0 to 2'),
        ('{"prompt": "x", "temperature": 3, "max_tokens": 0, "top_p": 0}', "3 problems"),
        ('{"prompt": "x", "n": 2}', '"n" is not supported'),
        ('{"prompt": "x", "stop": ["a"]}', '"stop" is not supported'),
        ('{"prompt": ["x", "y"], "stream": true}', "takes one prompt"),
        ('{"fields": {"other": "x"}}', 'no column "text"'),
        ('{"prompt": "' + "\u4f60" * 100 + '"}', "the model takes 64"),
        ('{"prompt": "\\ud800"}', "surrogate"),
    ],
)
def test_wrong_requests_get_a_sentence_and_400(generate, body, said):
    client, *_ = generate
    response = client.post("/v1/completions", content=body.encode())
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert said in response.json()["error"]["message"]


def test_unknown_models_paths_and_huge_bodies_are_refused_in_openais_shape(generate):
    client, *_ = generate
    assert client.post("/v1/completions", json={"prompt": "x", "model": "gpt"}).status_code == 404
    assert client.get("/v2/nothing").json()["error"]["code"] == "not_found"
    assert client.post("/v1/completions", content=b" " * (1 << 20) + b"{}").status_code == 413
    assert client.get("/v1/completions").status_code == 405


def test_several_columns_are_given_as_fields(make):
    for client, session, renderer in client_of(make("extract", template="{title}: {body}")):
        fields = {"title": "a", "body": "b"}
        used = client.post("/v1/completions", json={"fields": fields, "max_tokens": 2}).json()["usage"]
        assert used["prompt_tokens"] == len(renderer.prompt_ids(fields))
        assert session.context == 64
        response = client.post("/v1/completions", json={"prompt": "x"})
        assert response.status_code == 400
        assert "title, body" in response.json()["error"]["message"]


def test_a_language_model_continues_the_prompt(make):
    for client, session, _ in client_of(make("language-model", template=None)):
        answer = client.post("/v1/completions", json={"prompt": "play a", "max_tokens": 4}).json()
        assert answer["usage"]["prompt_tokens"] == 1 + len(session.tokenize("play a"))


class Slow:
    """A session that waits for a signal, and whose answer is JSON of the task."""

    context, vocab_size = 64, 300

    def __init__(self, renderer, answer) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        self.ids = renderer.completion_ids(answer)

    def generate(self, prompts, *, max_new_tokens, end_id, sampling):
        self.entered.set()
        if not self.go.wait(20):
            raise FailedError("nobody let the session go on")
        return [Generation(tuple(self.ids), True) for _ in prompts]


def test_a_full_queue_is_said_at_once_and_parsed_json_is_the_text(make):
    real = open_artifact(make("extract"))
    renderer = renderer_of(real)
    session = Slow(renderer, {"intent": "PlayMusic"})
    app = create_app(session, renderer, "toy", most_waiting=0)
    with served(app) as address, httpx.Client(base_url=address, timeout=30) as client:
        answers: list[httpx.Response] = []
        ask = threading.Thread(target=lambda: answers.append(client.post("/v1/completions", json={"prompt": "x"})))
        ask.start()
        assert session.entered.wait(20)
        full = httpx.post(f"{address}/v1/completions", json={"prompt": "y"})
        assert full.status_code == 503
        assert full.headers["retry-after"] == "1"
        assert full.json()["error"]["code"] == "overloaded"
        session.go.set()
        ask.join(20)
    choice = answers[0].json()["choices"][0]
    assert choice["text"] == '{"intent":"PlayMusic"}'
    assert choice["answer"] == {"intent": "PlayMusic"}
    assert choice["finish_reason"] == "stop"
    real.close()


def test_a_taken_port_is_wrong_input(make):
    path = make("generate")
    with listening("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(InputError, match="choose another with --port"):
            run_server(path, port=taken.getsockname()[1])


def test_a_port_that_cannot_be_is_said_before_the_model_is_opened(tmp_path):
    with pytest.raises(InputError) as caught:
        run_server(tmp_path / "none.gguf", port=99_999, threads=0)
    assert list(caught.value.problems) == [
        "--port must be from 0 (a free one) to 65,535; got 99,999",
        "--threads must be at least 1; got 0",
    ]
