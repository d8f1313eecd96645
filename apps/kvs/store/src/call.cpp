// SPDX-License-Identifier: Apache-2.0
// The way in from guests.
#include "core.hpp"

namespace kvs {

namespace {

std::int64_t flush(Call &call)
{
    if (call.log.lines == 0)
        return -KVS_E_RIGHTS;
    for (std::uint32_t p = 0; p < call.core.ports; ++p) {
        Log &log = call.core.logs[p];
        if (call.core.port[p].space == call.port.space && log.lines != 0)
            log.forget(log.tail.load(std::memory_order_acquire));
    }
    return 0;
}

std::int64_t stats(Call &call, kvs_addr_t address)
{
    Request request;
    std::uint8_t *reply = nullptr;
    if (const std::int64_t bad = read_request(call.port.regions, address, request, reply); bad != 0)
        return bad;
    if (request.value_length < sizeof(kvs_stats))
        return -KVS_E_VALUE;
    std::uint8_t *const to = call.port.regions.resolve(request.value, sizeof(kvs_stats));
    if (to == nullptr)
        return -KVS_E_ADDR;
    kvs_stats all;
    static_cast<void>(call.core.stats(PortId{call.index}, all));
    copy(to, reinterpret_cast<const std::uint8_t *>(&all), sizeof all);
    return sizeof all;
}

std::int64_t dispatch(Call &call, std::uint64_t op, kvs_addr_t request)
{
    const bool resume = (op & KVS_RESUME) != 0;
    switch (op & ~std::uint64_t{KVS_RESUME}) {
    case KVS_OP_GET:
        return get(call, request, resume);
    case KVS_OP_PUT:
    case KVS_OP_ADD:
    case KVS_OP_REPLACE:
    case KVS_OP_CAS:
        return put(call, op & ~std::uint64_t{KVS_RESUME}, request, resume);
    default:
        break;
    }
    switch (op) {
    case KVS_OP_INFO:
        return std::int64_t{KVS_VERSION} << 32 | call.index;
    case KVS_OP_DELETE:
        return erase(call, request);
    case KVS_OP_FLUSH:
        return flush(call);
    case KVS_OP_STATS:
        return stats(call, request);
    default:
        return -KVS_E_OP;
    }
}

} // namespace

std::int64_t Store::call(PortId self, std::uint64_t op, std::uint64_t request, std::uint32_t cpu)
{
    auto &core = static_cast<Core &>(*this);
    const auto index = static_cast<std::uint32_t>(self);
    if (index >= core.ports || index >= KVS_MAX_PORTS)
        return -KVS_E_STATE;
    Port &port = core.port[index];
    if (port.open.load(std::memory_order_acquire) == 0)
        return -KVS_E_STATE;
    const std::uint32_t mine = cpu % Port::cpus;
    Call call{core,
              port,
              index,
              core.logs[index],
              core.spaces[port.space % KVS_MAX_PORTS],
              port.readers[mine],
              port.counters[mine]};
    const std::int64_t answer = dispatch(call, op, request);
    if (call.helped != 0)
        call.counters.helped.add(call.helped);
    if (answer < 0)
        call.counters.rejected[-answer % KVS_ERRORS].add();
    return answer;
}

} // namespace kvs
