// SPDX-License-Identifier: Apache-2.0
#include "protocol.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>
#include <unistd.h>

namespace kvs::memcached {
namespace {

constexpr std::size_t longest_line = std::size_t{64} << 10;
constexpr std::string_view bad_line = "CLIENT_ERROR bad command line format\r\n";
constexpr std::string_view too_large = "SERVER_ERROR object too large for cache\r\n";

template <typename T>
bool number(std::string_view text, T &value)
{
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
}

bool is_key(std::string_view text)
{
    return !text.empty() && text.size() <= KVS_MAX_KEY && std::ranges::none_of(text, [](char c) {
        return static_cast<unsigned char>(c) <= ' ' || c == 127;
    });
}

std::string failed(const elisa::Error &error)
{
    if (error.code == elisa::Errc::quota) {
        return std::string{too_large};
    }
    return "SERVER_ERROR " + error.message + "\r\n";
}

bool is_over(std::int64_t expires)
{
    return expires < 0;
}

// 0: never. Up to 30 days it is a time from now, else one of the clock.
std::chrono::milliseconds lifetime(std::int64_t expires)
{
    constexpr std::int64_t month = 60 * 60 * 24 * 30;
    if (expires == 0) {
        return std::chrono::milliseconds{0};
    }
    std::int64_t seconds = expires;
    if (expires > month) {
        seconds = expires - static_cast<std::int64_t>(std::time(nullptr));
    }
    const auto most = static_cast<std::int64_t>(KVS_MAX_TTL_MS / 1000);
    return std::chrono::milliseconds{std::clamp<std::int64_t>(seconds, 0, most) * 1000 +
                                     (seconds <= 0 ? 1 : 0)};
}

// Empty: there is none left.
std::string_view take_word(std::string_view &text)
{
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    return word;
}

std::vector<std::string_view> split(std::string_view text)
{
    std::vector<std::string_view> words;
    for (auto word = take_word(text); !word.empty(); word = take_word(text)) {
        words.push_back(word);
    }
    return words;
}

bool takes_noreply(std::vector<std::string_view> &words)
{
    if (words.size() < 2 || words.back() != "noreply") {
        return false;
    }
    words.pop_back();
    return true;
}

} // namespace

bool Conversation::feed(std::string_view bytes, std::string &out)
{
    in_.append(bytes);
    std::size_t at = 0;
    bool open = true;
    while (open && out.size() < most_unsent) {
        if (retrieval_) {
            retrieve(out);
            continue;
        }
        if (skip_ != 0) {
            const std::size_t n = std::min(skip_, in_.size() - at);
            skip_ -= n;
            at += n;
            if (skip_ != 0) {
                break;
            }
        }
        if (skips_line_) {
            const std::size_t end = in_.find('\n', at);
            skips_line_ = end == std::string::npos;
            at = skips_line_ ? in_.size() : end + 1;
            if (skips_line_) {
                break;
            }
        }
        if (wanted_ != 0) {
            if (in_.size() - at < wanted_) {
                break;
            }
            const std::string_view data = std::string_view{in_}.substr(at, wanted_);
            at += wanted_;
            wanted_ = 0;
            std::string answer;
            if (data.ends_with("\r\n")) {
                answer = store(data.substr(0, data.size() - 2));
            } else {
                answer = "CLIENT_ERROR bad data chunk\r\n";
                skips_line_ = !data.ends_with('\n');
            }
            if (!storage_.noreply) {
                out += answer;
            }
            continue;
        }
        const std::size_t end = in_.find('\n', at);
        if (end == std::string::npos) {
            if (in_.size() - at > longest_line) {
                out += "CLIENT_ERROR line too long\r\n";
                open = false;
            }
            break;
        }
        std::string_view text = std::string_view{in_}.substr(at, end - at);
        at = end + 1;
        if (text.ends_with('\r')) {
            text.remove_suffix(1);
        }
        // A copy: a command may change in_.
        open = line(std::string{text}, out);
    }
    in_.erase(0, at);
    stopped_ = open && out.size() >= most_unsent;
    return open;
}

bool Conversation::line(std::string_view text, std::string &out)
{
    Words words = split(text);
    if (words.empty()) {
        out += "ERROR\r\n";
        return true;
    }
    using Kind = Storage::Kind;
    struct Named {
        std::string_view name;
        Kind kind;
    };
    constexpr Named storage[] = {{"set", Kind::set},         {"add", Kind::add},
                                 {"replace", Kind::replace}, {"append", Kind::append},
                                 {"prepend", Kind::prepend}, {"cas", Kind::cas}};
    const std::string_view name = words[0];
    for (const Named &one : storage) {
        if (one.name == name) {
            return begin_storage(one.kind, words, out);
        }
    }
    if (name == "get" || name == "gets") {
        get(words, name == "gets", out);
        return true;
    }
    if (name == "gat" || name == "gats") {
        get_and_touch(words, name == "gats", out);
        return true;
    }
    if (name == "quit") {
        return false;
    }
    // Those whose point is the answer are answered all the same.
    const bool quiet = name != "stats" && takes_noreply(words) && name != "version";
    std::string answer;
    if (name == "delete") {
        answer = erase(words);
    } else if (name == "incr" || name == "decr") {
        answer = count(words, name == "incr");
    } else if (name == "touch") {
        answer = touch(words);
    } else if (name == "flush_all") {
        answer = flush(words);
    } else if (name == "stats") {
        answer = stats(words);
    } else if (name == "version") {
        answer = "VERSION elisa-kvs-" + std::to_string(KVS_VERSION) + "\r\n";
    } else if (name == "verbosity") {
        answer = words.size() == 2 ? "OK\r\n" : "ERROR\r\n";
    } else {
        answer = "ERROR\r\n";
    }
    if (!quiet) {
        out += answer;
    }
    return true;
}

bool Conversation::begin_storage(Storage::Kind kind, const Words &given, std::string &out)
{
    Words words = given;
    storage_ = {};
    storage_.kind = kind;
    storage_.noreply = takes_noreply(words);
    const bool cas = kind == Storage::Kind::cas;
    std::uint64_t length = 0;
    if (words.size() != (cas ? 6u : 5u)) {
        out += "ERROR\r\n";
        return true;
    }
    if (!is_key(words[1]) || !number(words[2], storage_.flags) ||
        !number(words[3], storage_.expires) || !number(words[4], length) || length > INT32_MAX ||
        (cas && !number(words[5], storage_.version))) {
        out += bad_line;
        return true;
    }
    storage_.key = words[1];
    if (length > KVS_MAX_VALUE) {
        const std::string answer = refuse_too_large();
        if (!storage_.noreply) {
            out += answer;
        }
        skip_ = length + 2;
        return true;
    }
    wanted_ = length + 2;
    return true;
}

std::string Conversation::refuse_too_large()
{
    // After a set, the client believes that what was there has gone; after the others it does not.
    if (storage_.kind == Storage::Kind::set) {
        static_cast<void>(client_.erase(storage_.key));
    }
    return std::string{too_large};
}

std::string Conversation::store(std::string_view data)
{
    using Kind = Storage::Kind;
    using If = PutOptions::If;
    if (storage_.kind == Kind::append || storage_.kind == Kind::prepend) {
        return join(data);
    }
    PutOptions how;
    how.flags = storage_.flags;
    how.ttl = lifetime(storage_.expires);
    how.version = storage_.version;
    how.only_if = storage_.kind == Kind::add       ? If::absent
                  : storage_.kind == Kind::replace ? If::present
                  : storage_.kind == Kind::cas     ? If::version
                                                   : If::always;
    const auto put = client_.put(storage_.key, data, how);
    if (!put) {
        return put.error().code == elisa::Errc::quota ? refuse_too_large() : failed(put.error());
    }
    switch (*put) {
    case Status::done:
        if (is_over(storage_.expires)) {
            static_cast<void>(client_.erase(storage_.key));
        }
        return "STORED\r\n";
    case Status::not_found:
        return storage_.kind == Kind::cas ? "NOT_FOUND\r\n" : "NOT_STORED\r\n";
    case Status::exists:
        return "NOT_STORED\r\n";
    case Status::changed:
        return "EXISTS\r\n";
    }
    return "ERROR\r\n";
}

// append, prepend: what is there, and more, if nobody has changed it meanwhile.
std::string Conversation::join(std::string_view data)
{
    for (;;) {
        const auto value = client_.get(storage_.key);
        if (!value) {
            return failed(value.error());
        }
        if (!*value) {
            return "NOT_STORED\r\n";
        }
        const std::size_t length = (*value)->bytes.size();
        if (length + data.size() > KVS_MAX_VALUE) {
            return std::string{too_large};
        }
        char *const room = client_.room().data();
        if (storage_.kind == Storage::Kind::append) {
            std::memcpy(room + length, data.data(), data.size());
        } else {
            std::memmove(room + data.size(), room, length);
            std::memcpy(room, data.data(), data.size());
        }
        const auto put = client_.put(storage_.key, {room, length + data.size()},
                                     {.only_if = PutOptions::If::version,
                                      .version = (*value)->version,
                                      .flags = (*value)->flags,
                                      .ttl = (*value)->ttl});
        if (!put) {
            return failed(put.error());
        }
        if (*put == Status::done) {
            return "STORED\r\n";
        }
    }
}

void Conversation::show(std::string_view key, const Value &value, bool version,
                        std::string &out) const
{
    out.append("VALUE ").append(key);
    out += ' ' + std::to_string(value.flags) + ' ' + std::to_string(value.bytes.size());
    if (version) {
        out += ' ' + std::to_string(value.version);
    }
    out.append("\r\n").append(value.bytes).append("\r\n");
}

void Conversation::get(const Words &words, bool versions, std::string &out)
{
    if (words.size() < 2) {
        out += "ERROR\r\n";
        return;
    }
    begin_retrieval(std::span{words}.subspan(1), {.versions = versions}, out);
}

void Conversation::get_and_touch(const Words &words, bool versions, std::string &out)
{
    std::int64_t expires = 0;
    if (words.size() < 3 || !number(words[1], expires)) {
        out += words.size() < 3 ? "ERROR\r\n" : "CLIENT_ERROR invalid exptime argument\r\n";
        return;
    }
    begin_retrieval(std::span{words}.subspan(2), {.versions = versions, .expires = expires}, out);
}

// All keys are looked at before the first value is shown, for that may have been sent by then.
void Conversation::begin_retrieval(std::span<const std::string_view> keys, Retrieval what,
                                   std::string &out)
{
    if (!std::ranges::all_of(keys, is_key)) {
        out += bad_line;
        return;
    }
    const std::string_view last = keys.back();
    what.keys.assign(keys.front().data(), last.data() + last.size());
    retrieval_ = std::move(what);
}

void Conversation::retrieve(std::string &out)
{
    std::string_view left = std::string_view{retrieval_->keys}.substr(retrieval_->at);
    while (out.size() < most_unsent) {
        const std::string_view key = take_word(left);
        if (key.empty()) {
            out += "END\r\n";
            retrieval_.reset();
            return;
        }
        const auto value =
            retrieval_->expires ? renew(key, *retrieval_->expires) : client_.get(key);
        if (!value) {
            out += failed(value.error());
            retrieval_.reset();
            return;
        }
        if (*value) {
            show(key, **value, retrieval_->versions, out);
        }
    }
    retrieval_->at = retrieval_->keys.size() - left.size();
}

elisa::Result<std::optional<Value>> Conversation::renew(std::string_view key, std::int64_t expires)
{
    for (;;) {
        auto value = client_.get(key);
        if (!value || !*value) {
            return value;
        }
        const auto done = is_over(expires) ? client_.erase(key, (*value)->version)
                                           : client_.put(key, (*value)->bytes,
                                                         {.only_if = PutOptions::If::version,
                                                          .version = (*value)->version,
                                                          .flags = (*value)->flags,
                                                          .ttl = lifetime(expires)});
        if (!done) {
            return done.error();
        }
        if (*done == Status::done) {
            return value;
        }
    }
}

std::string Conversation::touch(const Words &words)
{
    std::int64_t expires = 0;
    if (words.size() != 3) {
        return "ERROR\r\n";
    }
    if (!is_key(words[1])) {
        return std::string{bad_line};
    }
    if (!number(words[2], expires)) {
        return "CLIENT_ERROR invalid exptime argument\r\n";
    }
    const auto value = renew(words[1], expires);
    if (!value) {
        return failed(value.error());
    }
    return *value ? "TOUCHED\r\n" : "NOT_FOUND\r\n";
}

std::string Conversation::erase(const Words &words)
{
    // A time of 0 was once allowed, and some clients still send it.
    if (words.size() != 2 && !(words.size() == 3 && words[2] == "0")) {
        return words.size() < 2
                   ? "ERROR\r\n"
                   : "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n";
    }
    if (!is_key(words[1])) {
        return std::string{bad_line};
    }
    const auto erased = client_.erase(words[1]);
    if (!erased) {
        return failed(erased.error());
    }
    return *erased == Status::done ? "DELETED\r\n" : "NOT_FOUND\r\n";
}

std::string Conversation::count(const Words &words, bool up)
{
    std::uint64_t by = 0;
    if (words.size() != 3) {
        return "ERROR\r\n";
    }
    if (!is_key(words[1])) {
        return std::string{bad_line};
    }
    if (!number(words[2], by)) {
        return "CLIENT_ERROR invalid numeric delta argument\r\n";
    }
    for (;;) {
        const auto value = client_.get(words[1]);
        if (!value) {
            return failed(value.error());
        }
        if (!*value) {
            return "NOT_FOUND\r\n";
        }
        std::uint64_t now = 0;
        if (!number((*value)->bytes, now)) {
            return "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
        }
        now = up ? now + by : now - std::min(now, by); // up: it wraps, as memcached's does
        const std::string text = std::to_string(now);
        const auto put = client_.put(words[1], text,
                                     {.only_if = PutOptions::If::version,
                                      .version = (*value)->version,
                                      .flags = (*value)->flags,
                                      .ttl = (*value)->ttl});
        if (!put) {
            return failed(put.error());
        }
        if (*put == Status::done) {
            return text + "\r\n";
        }
    }
}

std::string Conversation::flush(const Words &words)
{
    std::int64_t delay = 0;
    if (words.size() > 2 || (words.size() == 2 && !number(words[1], delay))) {
        return std::string{bad_line};
    }
    if (delay > 0) {
        return "SERVER_ERROR flush_all with a delay is not supported\r\n";
    }
    const auto flushed = client_.flush();
    return flushed ? "OK\r\n" : failed(flushed.error());
}

std::string Conversation::stats(const Words &words)
{
    if (words.size() == 2 && words[1] == "reset") {
        return "RESET\r\n";
    }
    if (words.size() != 1) {
        return "ERROR\r\n"; // no groups
    }
    const auto stats = client_.stats();
    if (!stats) {
        return failed(stats.error());
    }
    std::string all;
    const auto add = [&](std::string_view name, std::uint64_t value) {
        all.append("STAT ").append(name).append(" ").append(std::to_string(value)).append("\r\n");
    };
    add("pid", static_cast<std::uint64_t>(getpid()));
    add("time", static_cast<std::uint64_t>(std::time(nullptr)));
    add("cmd_get", stats->gets);
    add("cmd_set", stats->puts);
    add("get_hits", stats->hits);
    add("get_misses", stats->misses);
    add("get_expired", stats->expired);
    add("delete_hits", stats->deletes);
    add("evictions", stats->evicted);
    add("bytes_read", stats->bytes_in);
    add("bytes_written", stats->bytes_out);
    add("bytes", stats->used_bytes);
    add("limit_maxbytes", stats->memory_bytes);
    return all + "END\r\n";
}

} // namespace kvs::memcached
