-- Asks the control plane about a call: `http-request lua.stoa_authorize URL COPIED REFUSED UNAVAILABLE`, where COPIED are
-- the headers of a permission that the request gets, REFUSED those of a refusal that the caller gets, both joined with
-- commas, and UNAVAILABLE what a caller is told without an answer. HAProxy 2.6 and newer have all that it takes.

local ASKED_WITH = {
    "x-api-key", "authorization", "accept-language", "x-forwarded-method", "x-forwarded-uri", "x-forwarded-host",
    "x-stoa-gateway-token",
}
local TIMEOUT_MS = 2000
local DECISIONS = {[200] = true, [401] = true, [403] = true, [404] = true, [429] = true}

-- HAProxy counts the values of a header from 0.
local function first(headers, name)
    return headers[name] and headers[name][0]
end

local function question(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        headers[name] = {}
        for index = 0, #values do
            headers[name][index + 1] = values[index]
        end
    end
    local asked = {}
    for _, name in ipairs(ASKED_WITH) do
        asked[name] = headers[name]
    end
    return asked
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
    local answer = core.httpclient():get({url = url, headers = question(txn), timeout = TIMEOUT_MS})
    local is_permission = answer.status == 200
    -- A refusal without a reason is of this gateway's own token.
    if not DECISIONS[answer.status] or not (is_permission or first(answer.headers, "x-stoa-reason")) then
        local headers = {["content-type"] = "application/json", ["cache-control"] = "no-store", ["retry-after"] = "2"}
        return refuse(txn, 503, headers, unavailable)
    end
    if not is_permission then
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
