// SPDX-License-Identifier: Apache-2.0
// memcached's text protocol (its doc/protocol.txt) on top of a Client: bytes in, bytes out.
#pragma once

#include "kvs/client.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvs::memcached {

// One connection. Connections share the Client, one command after the other.
class Conversation {
  public:
    explicit Conversation(Client &client) : client_{client} {}

    // Takes what has come and appends the answers. False: the connection is to be closed, after
    // what is in `out` has been sent.
    bool feed(std::string_view bytes, std::string &out);
    // `out` is full: to be fed again, with nothing, when that has been sent, and not before.
    [[nodiscard]] bool stopped() const { return stopped_; }

  private:
    // So much, and a value more, is answered before it is sent: a line can ask for gigabytes.
    static constexpr std::size_t most_unsent = std::size_t{4} << 20;

    using Words = std::vector<std::string_view>;

    // A storage command whose data has not come yet.
    struct Storage {
        enum class Kind : std::uint8_t { set, add, replace, append, prepend, cas };
        Kind kind = Kind::set;
        std::string key;
        std::uint32_t flags = 0;
        std::int64_t expires = 0; // as given
        std::uint64_t version = 0;
        bool noreply = false;
    };

    // get, gets, gat, gats: values are still to be shown.
    struct Retrieval {
        std::string keys{}; // as they were given
        std::size_t at = 0; // those before have been shown
        bool versions = false;
        std::optional<std::int64_t> expires{}; // as given; none: not to be changed
    };

    bool line(std::string_view text, std::string &out);
    bool begin_storage(Storage::Kind kind, const Words &words, std::string &out);
    [[nodiscard]] std::string refuse_too_large();
    [[nodiscard]] std::string store(std::string_view data);
    [[nodiscard]] std::string join(std::string_view data);
    void get(const Words &words, bool versions, std::string &out);
    void get_and_touch(const Words &words, bool versions, std::string &out);
    void begin_retrieval(std::span<const std::string_view> keys, Retrieval what, std::string &out);
    void retrieve(std::string &out);
    [[nodiscard]] std::string touch(const Words &words);
    [[nodiscard]] std::string erase(const Words &words);
    [[nodiscard]] std::string count(const Words &words, bool up);
    [[nodiscard]] std::string flush(const Words &words);
    [[nodiscard]] std::string stats(const Words &words);
    void show(std::string_view key, const Value &value, bool version, std::string &out) const;
    // Gives a key that is there another end; the value, if it was there, is in the Client's room.
    [[nodiscard]] elisa::Result<std::optional<Value>> renew(std::string_view key,
                                                            std::int64_t expires);

    Client &client_;
    std::string in_;
    Storage storage_;
    std::optional<Retrieval> retrieval_;
    std::size_t wanted_ = 0;  // bytes of data and the CR LF behind them; 0: a line is next
    std::size_t skip_ = 0;    // of data that is too long
    bool skips_line_ = false; // the rest of a line that data were to end
    bool stopped_ = false;
};

} // namespace kvs::memcached
