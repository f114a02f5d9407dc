// Answers without a model, as the official SDK reads them: node deflection.mjs BASE_URL KEY. Prints what it was told.
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "what is 12 times 7" }];

const { data: whole, response } = await client.chat.completions.create({ model: "auto", messages }).withResponse();
let streamed = "";
let usage = null;
const asked = { model: "auto", messages, stream: true, stream_options: { include_usage: true } };
for await (const chunk of await client.chat.completions.create(asked)) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}
const answered = await client.responses.create({ model: "auto", input: messages[0].content });
const final = await client.responses.stream({ model: "auto", input: messages[0].content }).finalResponse();

console.log(
  JSON.stringify({
    deflector: response.headers.get("x-obol-deflector"),
    texts: [whole.choices[0].message.content, streamed, answered.output_text, final.output_text],
    tokens: [whole.usage.total_tokens, usage.total_tokens, answered.usage.total_tokens, final.usage.total_tokens],
  }),
);
