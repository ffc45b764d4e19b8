// The main flow with nothing but the generated types: what compiles is what the service takes and gives.
import type { components, paths } from "./schema";

type Body<Path extends keyof paths> = paths[Path] extends {
  post: { requestBody: { content: { "application/json": infer Content } } };
}
  ? Content
  : never;
type Subscription = components["schemas"]["Subscription"];

const [, , base, token] = process.argv;

async function post<Answer>(path: string, body: unknown): Promise<Answer> {
  const response = await fetch(`${base}${path}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) {
    const refusal = (await response.json()) as components["schemas"]["Error"];
    throw new Error(`${refusal.error.code}: ${JSON.stringify(refusal.error.details)}`);
  }
  return (await response.json()) as Answer;
}

async function main(): Promise<void> {
  const tenant: Body<"/v1/tenants"> = {
    name: "umbrella",
    tier: "starter",
    admin_email: "admin@umbrella.example",
    region: "us-east-1",
  };
  const { id } = await post<components["schemas"]["Tenant"]>("/v1/tenants", tenant);
  const plan: Body<"/v1/tenants/{tenant_id}/plans"> = { slug: "gold", name: "Gold", quota: null };
  await post(`/v1/tenants/${id}/plans`, plan);
  const api: Body<"/v1/tenants/{tenant_id}/apis"> = {
    name: "payments",
    upstream_url: "https://payments.example.com",
    path: "/payments",
  };
  const registered = await post<components["schemas"]["Api"]>(`/v1/tenants/${id}/apis`, api);
  const wish: Body<"/v1/tenants/{tenant_id}/subscriptions"> = {
    api_id: registered.id,
    plan: "gold",
    application: "mobile-app",
  };
  const asked = await post<Subscription>(`/v1/tenants/${id}/subscriptions`, wish);
  const approved = await post<Subscription>(`/v1/tenants/${id}/subscriptions/${asked.id}/approve`, {});
  console.log(JSON.stringify({ status: approved.status, key: approved.api_key, description: registered.description }));
}

main();
