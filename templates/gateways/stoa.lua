-- Queries the control plane about a call: `http-request lua.stoa_authorize URL COPIED REFUSED UNAVAILABLE`.
-- COPIED: the answer's headers to set on an allowed request; REFUSED: those to send to the caller with a refusal; both
-- joined with commas. UNAVAILABLE: the body of the 503 without a usable answer. For HAProxy 2.6 and newer.

local QUERY_HEADERS = {
    "x-api-key", "authorization", "accept-language", "x-forwarded-for", "x-forwarded-method", "x-forwarded-uri",
    "x-forwarded-host", "x-stoa-gateway-token",
}
local TIMEOUT_MS = 2000
-- Any other status is an error of the control plane, or of a proxy in between: never a decision.
local DECISIONS = {[200] = true, [401] = true, [403] = true, [404] = true, [429] = true}

-- HAProxy's tables of a header's values begin at 0, Lua's at 1.
local function first(headers, name)
    return headers[name] and headers[name][0]
end

local function query_headers(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        headers[name] = {}
        for index = 0, #values do
            headers[name][index + 1] = values[index]
        end
    end
    local query = {}
    for _, name in ipairs(QUERY_HEADERS) do
        query[name] = headers[name]
    end
    return query
end

local function refuse(txn, status, headers, body)
    local reply = txn:reply({status = status})
    for name, value in pairs(headers) do
        reply:add_header(name, value)
    end
    reply:set_body(body)
    txn:done(reply)
end

core.register_action("stoa_authorize", {"http-req"}, function(txn, url, copied, refused, unavailable)
    local answer = core.httpclient():get({url = url, headers = query_headers(txn), timeout = TIMEOUT_MS})
    local is_allowed = answer.status == 200
    -- A refusal without a reason is about this gateway's token: then the caller must not be told that its key is wrong.
    if not DECISIONS[answer.status] or not (is_allowed or first(answer.headers, "x-stoa-reason")) then
        local headers = {["content-type"] = "application/json", ["cache-control"] = "no-store", ["retry-after"] = "2"}
        return refuse(txn, 503, headers, unavailable)
    end
    if not is_allowed then
        local headers = {["cache-control"] = "no-store"}
        for name in refused:gmatch("[^,]+") do
            headers[name] = first(answer.headers, name)
        end
        return refuse(txn, answer.status, headers, answer.body)
    end
    for name in copied:gmatch("[^,]+") do
        txn.http:req_set_header(name, first(answer.headers, name) or "")
    end
end, 4)
