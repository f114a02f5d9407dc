// One conversation with the official Node SDK; prints what came of it as JSON.
//   node conversation.mjs <base url> <key> <model>
import OpenAI from "openai";
import { VERSION } from "openai/version";

const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000 });
const messages = [{ role: "user", content: "What now?" }];
const told = { version: VERSION };

const { data: answer, response, request_id } = await client.chat.completions
  .create({ model, messages })
  .withResponse();
told.whole = answer.choices[0].message.content;
told.tokens = answer.usage.total_tokens;
told.requestId = request_id;
told.cost = response.headers.get("x-obol-cost-usd");

const stream = await client.chat.completions.create({
  model, messages, stream: true, stream_options: { include_usage: true },
});
told.streamed = "";
for await (const chunk of stream) {
  told.streamed += chunk.choices[0]?.delta.content ?? "";
  if (chunk.usage) told.streamedUsage = chunk.usage;
}

const tools = [{ name: "weather", arguments: '{"town": "Köln"}' }, { name: "clock", arguments: "{}" }];
const runner = client.chat.completions.stream({ model, messages, script: { tool_calls: tools } });
const final = await runner.finalChatCompletion();
told.tools = final.choices[0].message.tool_calls.map((call) => call.function).map((f) => ({ name: f.name, arguments: f.arguments }));
told.finish = final.choices[0].finish_reason;

told.vector = Array.from((await client.embeddings.create({ model, input: "text" })).data[0].embedding);
told.vectorFromBase64 = Array.from((await client.embeddings.create({
  model, input: "text",
  script: { body: { object: "list", model: "x", usage: { prompt_tokens: 3, total_tokens: 3 },
    data: [{ object: "embedding", index: 0, embedding: "AACAPgAAgL8=" }] } },
})).data[0].embedding);

told.flagged = (await client.moderations.create({ input: "text" })).results[0].flagged;
told.models = [];
for await (const one of client.models.list()) told.models.push(one.id);

async function caught(work) {
  try {
    await work();
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status ?? null, code: error.code ?? null };
  }
}

told.unknownModel = await caught(() => client.chat.completions.create({ model: "no-such-model", messages }));
told.badKey = await caught(() => new OpenAI({ baseURL, apiKey: "sk-wrong", maxRetries: 0 }).models.list());
told.badBody = await caught(() => client.chat.completions.create({ model, messages: "no array" }));
told.cut = await caught(async () => {
  for await (const _ of await client.chat.completions.create({
    model, messages, stream: true, script: { cut_after: 3 },
  }));
});
const halfway = new AbortController();
told.aborted = await caught(async () => {
  const slow = await client.chat.completions.create(
    { model, messages, user: "node-aborts", stream: true, script: { chunk_ms: 200, text: "word ".repeat(200) } },
    { signal: halfway.signal },
  );
  for await (const chunk of slow) if (chunk.choices[0].delta.content) halfway.abort();
});
console.log(JSON.stringify(told));
