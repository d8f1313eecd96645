// SPDX-License-Identifier: Apache-2.0
// A guest's way to the store.
//
//     auto client = kvs::Client::attach({.export_name = "kvs"});
//     client->put("greeting", "hello", {.ttl = std::chrono::seconds{60}});
//     if (auto value = client->get("greeting"); value && *value) use((*value)->bytes);
//
// One thread at a time uses a Client; threads and processes have one each, with `instance`s of
// their own (the manager says how many a guest may have). It holds 2 MB of registered memory.
//
// Errors are values: what is expected to happen is a Status or an empty optional; an Error says in
// a sentence what failed and what to do.
#pragma once

#include "elisa/error.hpp"
#include "kvs/kvs_abi.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace kvs {

namespace detail {
class Session;
}

enum class Status : std::uint8_t {
    done,
    not_found, // replace, compare-and-swap, erase: there is no such key
    exists,    // add: there is one
    changed,   // compare-and-swap, erase: its version is another one
};

struct Value {
    std::string_view bytes;        // in the Client's memory: until its next call
    std::uint32_t flags;           // as they were put
    std::uint64_t version;         // changes with each put, and never comes back
    std::chrono::milliseconds ttl; // what is left of it; 0: no end
};

struct PutOptions {
    enum class If : std::uint8_t { always, absent, present, version };
    If only_if = If::always;
    std::uint64_t version = 0; // for If::version: as a get told it
    std::uint32_t flags = 0;
    std::chrono::milliseconds ttl{
        0}; // 0: until it is evicted; as exact as the manager's ticks (100 ms)
};

class Client {
  public:
    struct AttachOptions {
        std::string_view export_name = KVS_EXPORT_NAME;
        std::uint64_t instance = 0;
        std::chrono::milliseconds timeout{30'000};
    };
    // In a guest VM, as root (elisa/guest.hpp).
    [[nodiscard]] static elisa::Result<Client> attach(const AttachOptions &options);

    struct ConnectOptions {
        std::string socket;
        std::string label;
        std::uint64_t instance = 0;
    };
    // To a `kvs manager --backend direct` on this machine: no isolation.
    [[nodiscard]] static elisa::Result<Client> connect(const ConnectOptions &options);

    Client(Client &&) noexcept;
    Client &operator=(Client &&) noexcept;
    ~Client();

    // nullopt: it is not there, or its time is over. Keys are 1 to KVS_MAX_KEY bytes, of any kind.
    [[nodiscard]] elisa::Result<std::optional<Value>> get(std::string_view key);

    // At most KVS_MAX_VALUE bytes. Copied once into the store if they lie in room(), else twice.
    // Error interrupted: the host cut the call short; it may or may not have happened.
    [[nodiscard]] elisa::Result<Status> put(std::string_view key, std::string_view value,
                                            const PutOptions &options = {});

    // `version`: 0, or the one that it must have.
    [[nodiscard]] elisa::Result<Status> erase(std::string_view key, std::uint64_t version = 0);

    // Forgets all keys of the namespace. What is put meanwhile may or may not stay.
    [[nodiscard]] elisa::Result<void> flush();

    // Of this client's port.
    [[nodiscard]] elisa::Result<kvs_stats> stats();

    // Where a value may be composed, so that put() need not copy it; KVS_MAX_VALUE bytes. get()
    // overwrites it.
    [[nodiscard]] std::span<char> room() noexcept;
    [[nodiscard]] std::uint32_t port() const noexcept;

    // For tests: the bare call, and where requests lie.
    [[nodiscard]] detail::Session &session() noexcept { return *session_; }

  private:
    explicit Client(std::unique_ptr<detail::Session> session) noexcept;
    [[nodiscard]] elisa::Result<void> check_in();
    [[nodiscard]] elisa::Result<void> stage(std::string_view key);
    [[nodiscard]] elisa::Result<std::int64_t> run(std::uint64_t op, bool repeatable);

    std::unique_ptr<detail::Session> session_;
    std::uint32_t port_ = 0;
};

} // namespace kvs
