// A heartbeat function in Node, for comparison: the same start and the same coalesced heartbeat as the service.
//
// Its init builds the clients, reads both secrets and opens a connection to each host, all hosts at once. A heartbeat
// checks the token, reads the fleet's state and the agent consistently in one request, then writes the run, then
// updates the agent. In its favour it has no passes, no changes to report, no rate limit and no error handling, uses
// DynamoDB's plain client, and keeps connections alive by the SDK's default.

import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import {
  BatchGetItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";

const { TABLE_NAME, AGENT_TOKENS_SECRET_ID, GITHUB_CREDENTIALS_SECRET_ID, GITHUB_API_URL } = process.env;
const RETENTION_SECONDS = 90 * 86_400;

const dynamodb = new DynamoDBClient({});
const secretsManager = new SecretsManagerClient({});

const [agentToken] = await Promise.all([
  readSecrets(),
  fetch(GITHUB_API_URL, { method: "HEAD", headers: { "user-agent": "peer" } }),
  dynamodb.send(new GetItemCommand({ TableName: TABLE_NAME, Key: key("FLEET", "STATE") })),
]);
const tokenDigest = digest(agentToken);

/** Answers API Gateway's event (payload version 2.0). */
export async function handler(event) {
  const startedAt = new Date();
  const [, agentName] = /^\/api\/agents\/([^/]+)\/heartbeat$/.exec(event.rawPath) ?? [];
  if (!agentName) return respond(404, { error: "Not Found" });
  const given = event.headers.authorization?.replace(/^Bearer /i, "") ?? "";
  if (!timingSafeEqual(digest(given), tokenDigest)) return respond(401, { error: "Unauthorized" });

  const { state, agent } = await read(agentName);
  const ended = state.ended.M;
  const age = (startedAt - new Date(ended.at.S)) / 1000;
  if (age >= Number(ended.freshnessSeconds.N)) throw new Error("the last pass is no longer fresh");

  const finishedAt = new Date();
  const run = {
    runId: randomUUID(),
    agentName,
    type: "heartbeat",
    status: "ok",
    startedAt: startedAt.toISOString(),
    finishedAt: finishedAt.toISOString(),
    summary: `Joined the pass that ended ${Math.floor(age)} s ago.`,
    warnings: [],
    errors: [],
    touchedIssueUrls: [],
    touchedCount: 0,
    passId: ended.passId.S,
    coalesced: true,
  };
  const expiresAt = { N: String(Math.floor(startedAt / 1000) + RETENTION_SECONDS) };
  const Item = { ...item(run), ...key(`AGENT#${agentName}`, `RUN#${run.runId}`), expiresAt };
  await dynamodb.send(new PutItemCommand({ TableName: TABLE_NAME, Item }));
  await updateAgent(agentName, agent, startedAt, run.finishedAt);
  return respond(200, { ...run, freshAt: ended.freshAt.S, touched: [], problems: [] });
}

/** One after the other, on one connection. */
async function readSecrets() {
  const agentToken = await readSecret(AGENT_TOKENS_SECRET_ID);
  await readSecret(GITHUB_CREDENTIALS_SECRET_ID);
  return agentToken;
}

async function readSecret(id) {
  const answer = await secretsManager.send(new GetSecretValueCommand({ SecretId: id }));
  return answer.SecretString.trim();
}

/** The first read of a heartbeat. */
async function read(agentName) {
  const Keys = [key("FLEET", "STATE"), key("AGENTS", agentName)];
  const answer = await dynamodb.send(
    new BatchGetItemCommand({ RequestItems: { [TABLE_NAME]: { Keys, ConsistentRead: true } } }),
  );
  const items = answer.Responses[TABLE_NAME];
  const [state, agent] = Keys.map(({ pk }) => items.find((item) => item.pk.S === pk.S));
  return { state, agent };
}

/** Moves the agent's delivery cursor and counts the heartbeat in its minute. */
function updateAgent(agentName, agent, startedAt, at) {
  const minute = String(Math.floor(startedAt / 60_000));
  const isSameMinute = agent.beatMinute?.N === minute;
  return dynamodb.send(
    new UpdateItemCommand({
      TableName: TABLE_NAME,
      Key: key("AGENTS", agentName),
      UpdateExpression: isSameMinute
        ? "SET told = :told, lastBeatAt = :at ADD beatsInMinute :one"
        : "SET told = :told, lastBeatAt = :at, beatMinute = :minute, beatsInMinute = :one",
      ConditionExpression: isSameMinute
        ? "beatMinute = :minute AND told <= :told"
        : "(attribute_not_exists(beatMinute) OR beatMinute < :minute) AND told <= :told",
      ExpressionAttributeValues: {
        ":told": agent.told,
        ":at": { S: at },
        ":minute": { N: minute },
        ":one": { N: "1" },
      },
    }),
  );
}

function key(pk, sk) {
  return { pk: { S: pk }, sk: { S: sk } };
}

/** A flat record in DynamoDB's format. */
function item(record) {
  const value = (v) =>
    typeof v === "string" ? { S: v }
    : typeof v === "number" ? { N: String(v) }
    : typeof v === "boolean" ? { BOOL: v }
    : { L: v.map(value) };
  return Object.fromEntries(Object.entries(record).map(([name, v]) => [name, value(v)]));
}

function digest(text) {
  return createHash("sha256").update(text).digest();
}

function respond(statusCode, body) {
  return {
    statusCode,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
    body: JSON.stringify(body),
    isBase64Encoded: false,
  };
}
