// One conversation over the Responses API with the official Node SDK; prints what came of it as JSON.
//   node responses.mjs <base url> <key> <model> <file with a turn of an agent>
import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { VERSION } from "openai/version";

const [baseURL, apiKey, model, turn] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000 });
const input = "What now?";
const told = { version: VERSION };

const { data: answer, request_id } = await client.responses.create({ model, input }).withResponse();
told.whole = answer.output_text;
told.tokens = answer.usage.total_tokens;
told.request_id = request_id;
told.kept = (await client.responses.retrieve(answer.id)).output_text;

const stream = client.responses.stream({ model, input });
told.streamed = "";
for await (const event of stream) if (event.type === "response.output_text.delta") told.streamed += event.delta;
told.final = (await stream.finalResponse()).output_text;

const seen = [];
const script = { events: JSON.parse(readFileSync(turn, "utf8")) };
for await (const event of await client.responses.create({ model, input: [], stream: true, script })) seen.push(event);
const ended = seen.at(-1).response;
told.turn = seen.map((event) => event.type);
told.items = ended.output.map((item) => item.type);
told.encrypted = ended.output[0].encrypted_content;
told.patch = ended.output.at(-1).input;
told.cached = ended.usage.input_tokens_details.cached_tokens;

const broken = [];
const cut = { model, input, stream: true, script: { cut_after: 8 } };
for await (const event of await client.responses.create(cut)) broken.push(event);
told.cut = [broken.at(-1).type, broken.at(-1).response.error.code];

try {
  await client.responses.create({ model: "no-such-model", input });
} catch (error) {
  told.error = error.code;
}
told.async = told.streamed; // there is no other way in Node
console.log(JSON.stringify(told));
