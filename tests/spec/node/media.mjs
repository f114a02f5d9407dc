// Sound and images with the official Node SDK; prints what came of it as JSON.
//   node media.mjs <base url> <key> <sound file> <image file>
import fs from "node:fs";
import OpenAI from "openai";

const [baseURL, apiKey, sound, image] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000 });
const told = { requests: {} };

async function caught(work) {
  try {
    await work();
    return null;
  } catch (error) {
    return error.constructor.name;
  }
}

const spoken = await client.audio.speech.create({ model: "speak/node", voice: "alloy", input: "Hello" });
told.spoken = (await spoken.arrayBuffer()).byteLength;
told.cut = await caught(async () => {
  const body = { model: "speak/node-cut", voice: "alloy", input: "Hello", script: { cut_after: 3, chunk_ms: 20 } };
  await (await client.audio.speech.create(body)).arrayBuffer();
});

const heard = await client.audio.transcriptions
  .create({ model: "hear/node", file: fs.createReadStream(sound), timestamp_granularities: ["word", "segment"] })
  .withResponse();
told.heard = heard.data.text;
told.requests.heard = heard.request_id;

const events = await client.audio.transcriptions.create({ model: "hear/node", file: fs.createReadStream(sound), stream: true });
told.events = [];
for await (const event of events) told.events.push(event.type);

const edited = await client.images
  .edit({ model: "paint/node", image: [fs.createReadStream(image), fs.createReadStream(image)], prompt: "a hat", n: 2 })
  .withResponse();
told.images = edited.data.data.length;
told.requests.edited = edited.request_id;

console.log(JSON.stringify(told));
