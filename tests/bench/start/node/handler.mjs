// A heartbeat function in Node, for comparison: the same start and the same coalesced beat as the service's.
//
// Its init builds the clients, reads both secrets and opens a connection to each host, all hosts at once. A beat
// checks the token, reads the fleet's state and the agent consistently and at once, then writes the run, then the
// agent. In its favour: it knows no pass, no change to tell and no failure, uses DynamoDB's plain client, and keeps
// connections alive by the SDK's own default.

import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import { DynamoDBClient, GetItemCommand, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";

const { TABLE_NAME, AGENT_TOKENS_SECRET_ID, GITHUB_CREDENTIALS_SECRET_ID, GITHUB_API_URL } = process.env;
const RETENTION_SECONDS = 90 * 86_400;

const dynamodb = new DynamoDBClient({});
const secretsManager = new SecretsManagerClient({});

const [agentToken] = await Promise.all([
  readSecrets(),
  fetch(GITHUB_API_URL, { method: "HEAD", headers: { "user-agent": "peer" } }),
  read("FLEET", "STATE", false),
]);
const tokenDigest = digest(agentToken);

/** Answers API Gateway's event (payload version 2.0). */
export async function handler(event) {
  const startedAt = new Date();
  const [, agentName] = /^\/api\/agents\/([^/]+)\/heartbeat$/.exec(event.rawPath) ?? [];
  if (!agentName) return respond(404, { error: "Not Found" });
  const given = event.headers.authorization?.replace(/^Bearer /i, "") ?? "";
  if (!timingSafeEqual(digest(given), tokenDigest)) return respond(401, { error: "Unauthorized" });

  const [state, agent] = await Promise.all([
    read("FLEET", "STATE", true),
    read("AGENTS", agentName, true),
  ]);
  const ended = state.ended.M;
  const age = (startedAt - new Date(ended.at.S)) / 1000;
  if (age >= Number(ended.freshnessSeconds.N)) throw new Error("the last pass is not fresh any more");

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
  await write({
    ...item(run),
    pk: { S: `AGENT#${agentName}` },
    sk: { S: `RUN#${run.runId}` },
    expiresAt: { N: String(Math.floor(startedAt / 1000) + RETENTION_SECONDS) },
  });
  const told = agent.told.S;
  await write(
    {
      pk: { S: "AGENTS" },
      sk: { S: agentName },
      lastBeatAt: { S: run.finishedAt },
      told: { S: told },
    },
    {
      ConditionExpression: "attribute_not_exists(told) OR told <= :told",
      ExpressionAttributeValues: { ":told": { S: told } },
    },
  );
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

async function read(pk, sk, consistent) {
  const key = { pk: { S: pk }, sk: { S: sk } };
  const answer = await dynamodb.send(
    new GetItemCommand({ TableName: TABLE_NAME, Key: key, ConsistentRead: consistent }),
  );
  return answer.Item;
}

function write(item, condition = {}) {
  return dynamodb.send(new PutItemCommand({ TableName: TABLE_NAME, Item: item, ...condition }));
}

/** DynamoDB's form of a flat record. */
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
