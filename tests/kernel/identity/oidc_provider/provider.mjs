// oidc-provider at Keycloak's addresses: `node provider.mjs PORT` serves the realm `stoa` on loopback.
import { generateKeyPairSync } from "node:crypto";
import Koa from "koa";
import mount from "koa-mount";
import Provider from "oidc-provider";

const AUDIENCE = "control-plane-api";
const REALM = "/realms/stoa";
const ENDPOINTS = `${REALM}/protocol/openid-connect`;

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}${REALM}`;

function key(kid, alg, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: "jwk" }), kid, alg, use: "sig" };
}

const keys = [
  key("rsa", "RS256", "rsa", { modulusLength: 2048 }),
  key("pss", "PS256", "rsa", { modulusLength: 2048 }),
  key("ec", "ES256", "ec", { namedCurve: "P-256" }),
];

// Whom a client's tokens speak for, and how they are signed and for whom.
const clients = {
  "control-plane-api": { roles: ["cpi-admin"], alg: "RS256", audience: AUDIENCE },
  "acme-robot": { roles: ["tenant-admin"], tenant: "acme", alg: "ES256", audience: AUDIENCE },
  "acme-viewer": { roles: ["viewer"], tenant: ["acme"], alg: "PS256", audience: AUDIENCE },
  "somebody-else": { roles: ["cpi-admin"], alg: "RS256", audience: "another-service" },
  "opaque": { roles: ["cpi-admin"], audience: AUDIENCE },
};

const provider = new Provider(issuer, {
  jwks: { keys },
  clients: Object.keys(clients).map((client_id) => ({
    client_id,
    client_secret: "client-secret",
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: "client_secret_post",
  })),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => "urn:stoa:control-plane",
      useGrantedResource: () => true,
      getResourceServerInfo: (_context, _resource, client) => {
        const { alg, audience } = clients[client.clientId];
        return alg
          ? { scope: "", audience, accessTokenTTL: 300, accessTokenFormat: "jwt", jwt: { sign: { alg } } }
          : { scope: "", audience, accessTokenTTL: 300, accessTokenFormat: "opaque" };
      },
    },
  },
  extraTokenClaims: (_context, token) => {
    const { roles, tenant } = clients[token.clientId];
    return { realm_access: { roles }, ...(tenant && { tenant_id: tenant }) };
  },
  routes: {
    authorization: "/protocol/openid-connect/auth",
    jwks: "/protocol/openid-connect/certs",
    token: "/protocol/openid-connect/token",
  },
});

const app = new Koa();
app.use(mount(REALM, provider));
app.listen(port, "127.0.0.1", () => console.log(`${ENDPOINTS}/token`));
