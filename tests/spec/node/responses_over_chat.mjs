// A turn of an agent over the Responses API with the official Node SDK; prints what came of it as JSON.
//   node responses_over_chat.mjs <base url> <key> <model> <tools> <script of the upstream>
import OpenAI from "openai";
import { VERSION } from "openai/version";

const [baseURL, apiKey, model, tools, script] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000 });
const asked = { model, input: "What now?", tools: JSON.parse(tools) };

const seen = [];
const stream = client.responses.stream({ ...asked, script: JSON.parse(script) });
for await (const event of stream) seen.push(event);
const turn = await stream.finalResponse();
const whole = await client.responses.create({ ...asked, script: JSON.parse(script) });
const cut = [];
const broken = { ...asked, stream: true, script: { cut_after: 4 } };
for await (const event of await client.responses.create(broken)) cut.push(event);

const deltas = (type) => seen.filter((event) => event.type === type).map((event) => event.delta).join("");
console.log(
  JSON.stringify({
    version: VERSION,
    items: turn.output.map((item) => item.type),
    whole: whole.output.map((item) => item.type),
    thought: deltas("response.reasoning_summary_text.delta"),
    patch: deltas("response.custom_tool_call_input.delta"),
    arguments: turn.output[1].arguments,
    input: turn.output[2].input,
    tokens: turn.usage.total_tokens,
    cut: [cut.at(-1).type, cut.at(-1).response.error.code],
  }),
);
