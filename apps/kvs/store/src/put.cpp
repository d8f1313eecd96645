// SPDX-License-Identifier: Apache-2.0
#include "core.hpp"

namespace kvs {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;

// What PUT's kind and DELETE ask of the key that is there, or is not.
std::int64_t condition(const Call &call, std::uint64_t op, std::uint64_t version,
                       const Found &found)
{
    const bool there = found.match == Match::found && !call.core.expired(found.header.expires);
    switch (op) {
    case KVS_OP_PUT:
        return 0;
    case KVS_OP_ADD:
        return there ? -KVS_E_EXISTS : 0;
    default:
        if (!there)
            return -KVS_E_NOENT;
        return version == 0 || version == found.header.version ? 0 : -KVS_E_CHANGED;
    }
}

std::int64_t refused(Call &call, std::int64_t answer)
{
    call.counters.refused.add();
    return answer;
}

// The one moment at which a PUT happens: Bucket::change().
std::int64_t publish(Call &call, std::uint64_t op, std::uint64_t version, const Key &key,
                     std::uint64_t position)
{
    Bucket &bucket = call.core.bucket(call.space, key.hash);
    for (int i = 0; i < 16; ++i) {
        if (!call.log.has(position))
            return -KVS_E_LOST; // flushed
        Turn turn;
        if (!bucket.settle(turn, call.helped))
            break;
        const Found found = find(call, bucket, key);
        if (found.match == Match::busy)
            break;
        if (const std::int64_t answer = condition(call, op, version, found); answer != 0)
            return refused(call, answer);
        bool displaces = false;
        const std::uint32_t slot =
            found.match == Match::found ? found.slot : place_for(call, bucket, turn, displaces);
        if (bucket.change(turn, slot, Word::item(call.index, key.hash, position))) {
            call.counters.puts.add();
            call.counters.displaced.add(displaces ? 1 : 0);
            return 0;
        }
        call.counters.retries.add();
    }
    return KVS_MORE;
}

// Copies the next piece of the value; when all is there, publishes.
std::int64_t advance(Call &call, const Request &request, std::uint8_t *reply, kvs_addr_t address,
                     const Key &key, const Item::Header &header, std::uint64_t copied)
{
    Writer &writer = call.port.writer;
    const std::uint64_t position = header.position;
    const std::uint64_t rest = header.value_length - copied;
    const std::uint64_t piece = rest < KVS_PIECE ? rest : KVS_PIECE;
    if (rest != 0) {
        const std::uint8_t *const from =
            call.port.regions.resolve(request.value, header.value_length);
        if (from == nullptr)
            return -KVS_E_ADDR;
        copy_into_log(call.core.item(call.log, position).value(header.key_length) + copied,
                      from + copied, piece);
    }
    std::int64_t answer = KVS_MORE;
    if (piece == rest)
        answer =
            publish(call, writer.op.load(relaxed), writer.version.load(relaxed), key, position);
    if (answer == KVS_MORE) {
        writer.copied.store(copied + piece, relaxed);
        writer.position.store(position, relaxed);
        writer.request.store(address + 1, relaxed);
    } else if (answer == 0) {
        call.counters.bytes_in.add(header.value_length);
        write_reply(reply, header.version, header.flags, header.value_length,
                    call.core.left(header.expires));
    }
    return answer;
}

std::int64_t go_on(Call &call, const Request &request, std::uint8_t *reply, kvs_addr_t address)
{
    Writer &writer = call.port.writer;
    writer.request.store(0, relaxed);
    const std::uint64_t position = writer.position.load(relaxed);
    const std::uint64_t copied = writer.copied.load(relaxed);
    const Item item = call.core.item(call.log, position);
    const Item::Header header = item.read();
    // Its own memory says so; but two calls at once of a careless guest may have written it.
    if (header.position != position || !call.log.has(position) ||
        !call.log.holds(position, header.key_length, header.value_length) ||
        copied > header.value_length || header.key_length == 0) {
        return -KVS_E_LOST;
    }
    Key key;
    key.length = header.key_length;
    key.hash = header.hash;
    for (std::uint32_t i = 0; i < key.word_count(); ++i)
        key.words[i] = load_word(item.key() + 8 * i);
    return advance(call, request, reply, address, key, header, copied);
}

} // namespace

std::int64_t put(Call &call, std::uint64_t op, kvs_addr_t address, bool resume)
{
    if (call.log.lines == 0)
        return -KVS_E_RIGHTS;
    Request request;
    std::uint8_t *reply = nullptr;
    if (const std::int64_t bad = read_request(call.port.regions, address, request, reply); bad != 0)
        return bad;
    Writer &writer = call.port.writer;
    if (resume && writer.request.load(relaxed) == address + 1)
        return go_on(call, request, reply, address);
    writer.request.store(0, relaxed); // one that was not brought to its end is none

    if (request.value_length > KVS_MAX_VALUE)
        return -KVS_E_VALUE;
    if (request.ttl_ms > KVS_MAX_TTL_MS)
        return -KVS_E_TTL;
    Key key;
    if (const std::int64_t bad = read_key(call.port.regions, request, key); bad != 0)
        return bad;
    if (request.value_length != 0 &&
        call.port.regions.resolve(request.value, request.value_length) == nullptr)
        return -KVS_E_ADDR;
    const std::uint64_t lines = Item::lines_for(key.length, request.value_length);
    if (lines > call.log.max_item())
        return -KVS_E_QUOTA;
    key.hash = keyed_hash(call.core.seed, key);
    if (op != KVS_OP_PUT) { // it need not be copied to be refused
        const Found found = find(call, call.core.bucket(call.space, key.hash), key);
        if (found.match == Match::busy)
            return -KVS_E_BUSY;
        if (const std::int64_t answer = condition(call, op, request.version, found); answer != 0)
            return refused(call, answer);
    }
    if (const std::int64_t answer = make_room(call, lines); answer != 0)
        return answer;

    Item::Header header{};
    header.key_length = key.length;
    header.hash = key.hash;
    header.value_length = request.value_length;
    header.flags = request.flags;
    header.expires = request.ttl_ms == 0 ? 0 : call.core.clock_ms.load(relaxed) + request.ttl_ms;
    const std::uint64_t tail = call.log.tail.load(relaxed);
    header.version = Word::item(call.index, key.hash, tail + call.log.padding(tail, lines)).raw();
    header.position = take(call.core, call.log, header, lines);
    const Item item = call.core.item(call.log, header.position);
    for (std::uint32_t i = 0; i < key.word_count(); ++i)
        store_word(item.key() + 8 * i, key.words[i]);
    writer.op.store(op, relaxed);
    writer.version.store(request.version, relaxed);
    return advance(call, request, reply, address, key, header, 0);
}

std::int64_t erase(Call &call, kvs_addr_t address)
{
    if (call.log.lines == 0)
        return -KVS_E_RIGHTS;
    Request request;
    std::uint8_t *reply = nullptr;
    if (const std::int64_t bad = read_request(call.port.regions, address, request, reply); bad != 0)
        return bad;
    Key key;
    if (const std::int64_t bad = read_key(call.port.regions, request, key); bad != 0)
        return bad;
    key.hash = keyed_hash(call.core.seed, key);
    Bucket &bucket = call.core.bucket(call.space, key.hash);
    for (int i = 0; i < 16; ++i) {
        Turn turn;
        if (!bucket.settle(turn, call.helped))
            break;
        const Found found = find(call, bucket, key);
        if (found.match == Match::busy)
            break;
        if (const std::int64_t answer = condition(call, KVS_OP_DELETE, request.version, found);
            answer != 0)
            return refused(call, answer);
        if (bucket.change(turn, found.slot, Word::nothing(turn.next_number()))) {
            call.counters.deletes.add();
            return 0;
        }
        call.counters.retries.add();
    }
    return -KVS_E_BUSY;
}

} // namespace kvs
