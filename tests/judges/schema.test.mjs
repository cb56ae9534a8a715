// What an editor does with the committed schemas: vscode-json-languageservice is what Visual Studio Code and many others run.
// pipeline.toml is judged in its JSON form: the schema is what is tested here, and taplo reads the TOML itself.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import languageService from "vscode-json-languageservice";

const { getLanguageService, TextDocument } = languageService;
const root = new URL("../../", import.meta.url);
const read = (path) => readFileSync(new URL(path, root), "utf8");
const service = getLanguageService({
  // The files of this repository, and nothing from elsewhere.
  schemaRequestService: async (uri) => {
    assert.ok(uri.startsWith(root.href), uri);
    return readFileSync(new URL(uri), "utf8");
  },
  workspaceContext: { resolveRelativePath: (path, from) => new URL(path, from).href },
});
const kinds = ["task-definition", "pipeline"];
service.configure({
  validate: true,
  allowComments: true,
  schemas: kinds.map((kind) => ({
    uri: `schema:///${kind}`,
    fileMatch: [`*${kind}.json`],
    schema: JSON.parse(read(`schemas/${kind}.schema.json`)),
  })),
});

function open(kind, text) {
  const place = new URL(`examples/api/${kind}.json`, root).href;
  const document = TextDocument.create(place, "json", 1, text);
  return { document, json: service.parseJSONDocument(document) };
}

// Every problem, as the text it marks and the message beside it.
async function problems(kind, text) {
  const { document, json } = open(kind, text);
  const found = await service.doValidation(document, json);
  return found.map(({ range, message }) => ({ marked: document.getText(range), message }));
}

async function hover(kind, text, word) {
  const { document, json } = open(kind, text);
  const position = document.positionAt(text.indexOf(word) + 1);
  const answer = await service.doHover(document, position, json);
  return [answer?.contents ?? ""].flat().join("\n");
}

// Labels of what can be completed at the bar.
async function completions(kind, textWithBar) {
  const offset = textWithBar.indexOf("|");
  const { document, json } = open(kind, textWithBar.replace("|", ""));
  const list = await service.doComplete(document, document.positionAt(offset), json);
  return list.items;
}

const example = read("examples/api/task-definition.json");
const edited = (from, to) => {
  assert.ok(example.includes(from), from);
  return example.replace(from, to);
};

test("the example has no problems", async () => {
  assert.deepEqual(await problems("task-definition", example), []);
});

// The right range is the mistake itself, and nothing around it.
for (const [what, from, to, marked, message] of [
  ["a typo in a member", '"family"', '"famly"', '"famly"', /famly/],
  ["a typo deep inside", '"stopTimeout"', '"stopTimout"', '"stopTimout"', /stopTimout/],
  ["a wrong word of a set", '"awsvpc"', '"awsvcp"', '"awsvcp"', /"awsvpc"|valid/i],
  ["a wrong word deep inside", '"awslogs",', '"aws-logs",', '"aws-logs"', /"awslogs"|valid/i],
  ["a wrong type", '"essential": true', '"essential": "true"', '"true"', /boolean/],
  ["a number for a string", '"value": "8080"', '"value": 8080', "8080", /string/],
  ["a number out of its range", '"interval": 10', '"interval": 3', "3", /5/],
  ["a word for a list", '["FARGATE"]', '"FARGATE"', '"FARGATE"', /array/],
]) {
  test(`${what} is marked where it stands`, async () => {
    const found = await problems("task-definition", edited(from, to));
    const here = found.filter((problem) => problem.marked === marked);
    assert.equal(here.length, 1, JSON.stringify(found));
    assert.match(here[0].message, message);
    // A misspelt member that must be there is missing besides; nothing else may be marked.
    const others = found.filter((problem) => problem !== here[0]);
    assert.ok(
      others.every((problem) => /missing/i.test(problem.message)),
      JSON.stringify(others),
    );
  });
}

test("hover explains members at every depth", async () => {
  const own = JSON.parse(read("schemas/task-definition.schema.json"));
  assert.ok((await hover("task-definition", example, '"family"')).includes("revisions"));
  assert.ok((await hover("task-definition", example, '"stopTimeout"')).includes("SIGKILL"));
  const described = own.definitions.HealthCheck.properties.interval.description;
  assert.ok((await hover("task-definition", example, '"interval"')).includes(described.slice(0, 20)));
});

test("completion offers members with their descriptions, and words of a set", async () => {
  const members = await completions("task-definition", '{"containerDefinitions": [{"|"}]}');
  const health = members.find((item) => item.label === "healthCheck");
  assert.ok(health, members.map((item) => item.label).join());
  assert.ok(JSON.stringify(health.documentation).includes("healthy"));
  const words = await completions("task-definition", '{"networkMode": "|"}');
  const labels = words.map((item) => item.label);
  for (const word of ["awsvpc", "bridge", "host", "none"]) {
    assert.ok(labels.includes(`"${word}"`), labels.join());
  }
});

const pipeline = {
  service: { name: "api" },
  build: { package: "./cmd/server" },
  registry: { repository: "api" },
  deploy: { container: "api", timeout: "15m" },
  environments: {
    local: {
      variables: { LOG_LEVEL: "debug" },
      override: { networkMode: "awsvpc", containerDefinitions: [{ name: "api", stopTimeout: 60 }] },
    },
  },
};
const written = JSON.stringify(pipeline, null, 2);

test("a pipeline file has no problems", async () => {
  assert.deepEqual(await problems("pipeline", written), []);
});

for (const [what, from, to, marked] of [
  ["a typo", '"package"', '"pakage"', '"pakage"'],
  ["a duration", '"15m"', '"15 minutes"', '"15 minutes"'],
  ["a wrong type", '"LOG_LEVEL": "debug"', '"LOG_LEVEL": 1', "1"],
  ["a typo in an override", '"stopTimeout"', '"stopTimout"', '"stopTimout"'],
  ["a wrong word in an override", '"awsvpc"', '"awsvcp"', '"awsvcp"'],
]) {
  test(`in a pipeline file, ${what} is marked where it stands`, async () => {
    const found = await problems("pipeline", written.replace(from, to));
    assert.ok(found.some((problem) => problem.marked === marked), JSON.stringify(found));
    assert.ok(
      found.every((problem) => problem.marked === marked || /missing/i.test(problem.message)),
      JSON.stringify(found),
    );
  });
}

test("in a pipeline file, hover and completion answer", async () => {
  assert.ok((await hover("pipeline", written, '"timeout"')).includes("15m"));
  const members = await completions("pipeline", '{"deploy": {"|"}}');
  const labels = members.map((item) => item.label);
  for (const label of ["container", "before", "checks", "on-failure"]) {
    assert.ok(labels.includes(label), labels.join());
  }
  const words = await completions("pipeline", '{"deploy": {"on-failure": "|"}}');
  assert.ok(words.some((item) => item.label === '"rollback"'));
});
