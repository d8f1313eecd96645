// SPDX-License-Identifier: Apache-2.0
#include "core.hpp"

namespace kvs {

namespace {

void missed(Call &call)
{
    call.counters.gets.add();
    call.counters.misses.add();
}

// The next piece of the value; `found` is not believed before it was intact after the copy.
// Values are not changed where they are, so pieces of one item belong together.
std::int64_t copy_piece(Call &call, const Request &request, std::uint8_t *reply, kvs_addr_t address,
                        const Found &found, std::uint64_t from)
{
    const Log &log = call.core.logs[found.word.port()];
    const std::uint64_t position = found.word.position();
    const std::uint32_t length = found.header.value_length;
    if (length > request.value_length) {
        write_reply(reply, found.header.version, found.header.flags, length,
                    call.core.left(found.header.expires));
        return -KVS_E_ROOM;
    }
    std::uint8_t *const to = call.port.regions.resolve(request.value, length);
    if (to == nullptr)
        return -KVS_E_ADDR;
    const std::uint64_t rest = length - from;
    const std::uint64_t piece = rest < KVS_PIECE ? rest : KVS_PIECE;
    copy_out_of_log(to + from, call.core.item(log, position).value(found.header.key_length) + from,
                    piece);
    if (!log.intact(position))
        return -KVS_E_LOST;
    if (piece < rest) {
        call.reader.word.store(found.word.raw(), std::memory_order_relaxed);
        call.reader.copied.store(from + piece, std::memory_order_relaxed);
        call.reader.request.store(address + 1, std::memory_order_relaxed);
        return KVS_MORE;
    }
    write_reply(reply, found.header.version, found.header.flags, length,
                call.core.left(found.header.expires));
    call.counters.gets.add();
    call.counters.hits.add();
    call.counters.bytes_out.add(length);
    return length;
}

// The item of a GET that is under way, if it is still there.
bool under_way(Call &call, kvs_addr_t address, Found &found, std::uint64_t &copied)
{
    if (call.reader.request.load(std::memory_order_relaxed) != address + 1)
        return false;
    call.reader.request.store(0, std::memory_order_relaxed);
    found.word = Word{call.reader.word.load(std::memory_order_relaxed)};
    copied = call.reader.copied.load(std::memory_order_relaxed);
    const Log &log = call.core.logs[found.word.port()];
    found.header = call.core.item(log, found.word.position()).read();
    return log.holds(found.word.position(), found.header.key_length, found.header.value_length) &&
           copied <= found.header.value_length && log.intact(found.word.position());
}

} // namespace

std::int64_t get(Call &call, kvs_addr_t address, bool resume)
{
    Request request;
    std::uint8_t *reply = nullptr;
    if (const std::int64_t bad = read_request(call.port.regions, address, request, reply); bad != 0)
        return bad;
    Found found{};
    std::uint64_t copied = 0;
    if (resume && under_way(call, address, found, copied)) {
        const std::int64_t answer = copy_piece(call, request, reply, address, found, copied);
        if (answer != -KVS_E_LOST)
            return answer;
    }
    Key key;
    if (const std::int64_t bad = read_key(call.port.regions, request, key); bad != 0)
        return bad;
    key.hash = keyed_hash(call.core.seed, key);
    Bucket &bucket = call.core.bucket(call.space, key.hash);
    for (int i = 0; i < 4; ++i) {
        found = find(call, bucket, key);
        if (found.match == Match::busy)
            return -KVS_E_BUSY;
        if (found.match == Match::none) {
            missed(call);
            return -KVS_E_NOENT;
        }
        if (call.core.expired(found.header.expires)) {
            call.counters.expired.add();
            missed(call);
            return -KVS_E_NOENT;
        }
        if (!found.word.read_since())
            bucket.note_read(found.slot, found.word);
        const std::int64_t answer = copy_piece(call, request, reply, address, found, 0);
        if (answer != -KVS_E_LOST)
            return answer;
        call.counters.retries.add();
    }
    return -KVS_E_BUSY;
}

} // namespace kvs
