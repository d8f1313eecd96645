// SPDX-License-Identifier: Apache-2.0
#include "kvs/client.hpp"

#include "session.hpp"

#include <cstring>
#include <sched.h>

namespace kvs {
namespace {

using detail::Session;
using elisa::Errc;
using elisa::make_error;
using elisa::Result;

elisa::Error error_of(std::int64_t answer)
{
    switch (-answer) {
    case KVS_E_STATE:
        return make_error(Errc::state, "the store has closed this port: attach again");
    case KVS_E_KEY:
        return make_error(Errc::invalid,
                          "a key has 1 to " + std::to_string(KVS_MAX_KEY) + " bytes");
    case KVS_E_VALUE:
        return make_error(Errc::invalid,
                          "a value has at most " + std::to_string(KVS_MAX_VALUE) + " bytes");
    case KVS_E_TTL:
        return make_error(Errc::invalid, "the time to live is too long (0 is for ever)");
    case KVS_E_RIGHTS:
        return make_error(Errc::refused, "this guest may only read (see 'memory' of its --guest)");
    case KVS_E_QUOTA:
        return make_error(Errc::quota,
                          "the value is larger than a quarter of this guest's memory in "
                          "the store (see 'memory' of its --guest)");
    case KVS_E_BUSY:
        return make_error(Errc::busy, "others changed this key all the time: try again");
    case KVS_E_LOST:
        return make_error(Errc::busy, "a flush came between: try again");
    case KVS_E_WORN:
        return make_error(Errc::state,
                          "this port has written all that it ever can: make the store anew");
    default:
        return make_error(Errc::inconsistent,
                          "the store answers " + std::to_string(answer) + ", which it should not");
    }
}

std::string_view text(const std::byte *at, std::size_t length)
{
    return {reinterpret_cast<const char *>(at), length};
}

} // namespace

Client::Client(std::unique_ptr<Session> session) noexcept : session_{std::move(session)} {}
Client::Client(Client &&) noexcept = default;
Client &Client::operator=(Client &&) noexcept = default;
Client::~Client() = default;

std::span<char> Client::room() noexcept
{
    return {reinterpret_cast<char *>(session_->memory() + Session::value_at), KVS_MAX_VALUE};
}

std::uint32_t Client::port() const noexcept
{
    return port_;
}

Result<void> Client::check_in()
{
    const auto answer = session_->call(KVS_OP_INFO, 0);
    if (!answer) {
        return answer.error();
    }
    if (*answer < 0) {
        return error_of(*answer);
    }
    if (*answer >> 32 != KVS_VERSION) {
        return make_error(Errc::abi_version, "the store speaks version " +
                                                 std::to_string(*answer >> 32) + ", this client " +
                                                 std::to_string(KVS_VERSION));
    }
    port_ = static_cast<std::uint32_t>(*answer);
    return {};
}

Result<void> Client::stage(std::string_view key)
{
    if (key.empty() || key.size() > KVS_MAX_KEY) {
        return error_of(-KVS_E_KEY);
    }
    std::memcpy(session_->memory() + Session::key_at, key.data(), key.size());
    auto &request = *reinterpret_cast<kvs_request *>(session_->memory() + Session::request_at);
    request = {};
    request.key = session_->address(Session::key_at);
    request.value = session_->address(Session::value_at);
    request.key_len = static_cast<std::uint32_t>(key.size());
    return {};
}

// To the end. `repeatable`: a call that was cut short is begun again.
Result<std::int64_t> Client::run(std::uint64_t op, bool repeatable)
{
    constexpr int patience = 1000;
    std::uint64_t now = op;
    for (int tries = 0;;) {
        const auto answer = session_->call(now, session_->address(Session::request_at));
        if (!answer) {
            if (repeatable && answer.error().code == Errc::interrupted && ++tries < patience) {
                continue;
            }
            return answer.error();
        }
        now = op;
        if (*answer == KVS_MORE) {
            now = op | KVS_RESUME;
        } else if ((*answer == -KVS_E_BUSY || *answer == -KVS_E_LOST) && ++tries < patience) {
            sched_yield();
        } else {
            return *answer;
        }
    }
}

Result<std::optional<Value>> Client::get(std::string_view key)
{
    if (auto staged = stage(key); !staged) {
        return staged.error();
    }
    auto &request = *reinterpret_cast<kvs_request *>(session_->memory() + Session::request_at);
    request.value_len = KVS_MAX_VALUE;
    const auto answer = run(KVS_OP_GET, true);
    if (!answer) {
        return answer.error();
    }
    if (*answer == -KVS_E_NOENT) {
        return std::optional<Value>{};
    }
    if (*answer < 0) {
        return error_of(*answer);
    }
    return std::optional{Value{
        text(session_->memory() + Session::value_at, static_cast<std::size_t>(*answer)),
        request.out_flags, request.out_version, std::chrono::milliseconds{request.out_ttl_ms}}};
}

Result<Status> Client::put(std::string_view key, std::string_view value, const PutOptions &options)
{
    if (value.size() > KVS_MAX_VALUE) {
        return error_of(-KVS_E_VALUE);
    }
    if (auto staged = stage(key); !staged) {
        return staged.error();
    }
    auto &request = *reinterpret_cast<kvs_request *>(session_->memory() + Session::request_at);
    const char *const mine = room().data();
    if (value.data() >= mine && value.data() + value.size() <= mine + KVS_MAX_VALUE) {
        request.value += static_cast<std::uint64_t>(value.data() - mine);
    } else if (!value.empty()) {
        std::memcpy(room().data(), value.data(), value.size());
    }
    request.value_len = static_cast<std::uint32_t>(value.size());
    request.flags = options.flags;
    request.version = options.version;
    if (options.ttl.count() < 0) {
        return error_of(-KVS_E_TTL);
    }
    request.ttl_ms = static_cast<std::uint64_t>(options.ttl.count());
    std::uint64_t op = KVS_OP_PUT;
    switch (options.only_if) {
    case PutOptions::If::always:
        break;
    case PutOptions::If::absent:
        op = KVS_OP_ADD;
        break;
    case PutOptions::If::present:
        op = KVS_OP_REPLACE;
        request.version = 0;
        break;
    case PutOptions::If::version:
        op = KVS_OP_CAS;
        break;
    }
    const auto answer = run(op, false);
    if (!answer) {
        return answer.error();
    }
    switch (*answer) {
    case 0:
        return Status::done;
    case -KVS_E_NOENT:
        return Status::not_found;
    case -KVS_E_EXISTS:
        return Status::exists;
    case -KVS_E_CHANGED:
        return Status::changed;
    default:
        return error_of(*answer);
    }
}

Result<Status> Client::erase(std::string_view key, std::uint64_t version)
{
    if (auto staged = stage(key); !staged) {
        return staged.error();
    }
    reinterpret_cast<kvs_request *>(session_->memory() + Session::request_at)->version = version;
    const auto answer = run(KVS_OP_DELETE, false);
    if (!answer) {
        return answer.error();
    }
    switch (*answer) {
    case 0:
        return Status::done;
    case -KVS_E_NOENT:
        return Status::not_found;
    case -KVS_E_CHANGED:
        return Status::changed;
    default:
        return error_of(*answer);
    }
}

Result<void> Client::flush()
{
    const auto answer = run(KVS_OP_FLUSH, true);
    if (!answer) {
        return answer.error();
    }
    return *answer < 0 ? Result<void>{error_of(*answer)} : Result<void>{};
}

Result<kvs_stats> Client::stats()
{
    if (auto staged = stage("-"); !staged) {
        return staged.error();
    }
    reinterpret_cast<kvs_request *>(session_->memory() + Session::request_at)->value_len =
        sizeof(kvs_stats);
    const auto answer = run(KVS_OP_STATS, true);
    if (!answer) {
        return answer.error();
    }
    if (*answer < 0) {
        return error_of(*answer);
    }
    kvs_stats stats;
    std::memcpy(&stats, session_->memory() + Session::value_at, sizeof stats);
    return stats;
}

} // namespace kvs
