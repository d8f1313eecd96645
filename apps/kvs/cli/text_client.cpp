// SPDX-License-Identifier: Apache-2.0
#include "text_client.hpp"

#include <arpa/inet.h>
#include <charconv>
#include <chrono>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <thread>

namespace kvs::cli {
namespace {

using elisa::Errc;
using elisa::make_error;
using elisa::Result;

constexpr std::string_view line_end = "\r\n";

bool parse(const std::string &where, sockaddr_in &address)
{
    const std::size_t colon = where.rfind(':');
    if (colon == std::string::npos) {
        return false;
    }
    std::uint16_t port = 0;
    const char *const end = where.data() + where.size();
    const auto number = std::from_chars(where.data() + colon + 1, end, port);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    return number.ec == std::errc{} && number.ptr == end &&
           ::inet_pton(AF_INET, where.substr(0, colon).c_str(), &address.sin_addr) == 1;
}

elisa::Error strange(std::string_view answer)
{
    return make_error(Errc::invalid, "the server's answer is not memcached's text protocol: '" +
                                         std::string{answer.substr(0, 60)} + "'");
}

} // namespace

Result<TextClient> TextClient::connect(const std::string &where, double timeout)
{
    sockaddr_in address{};
    if (!parse(where, address)) {
        return make_error(Errc::invalid,
                          "'" + where +
                              "' is not of the form ADDRESS:PORT, such as 10.0.0.1:11211");
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>{timeout};
    for (;;) {
        elisa::UniqueFd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        if (socket && ::connect(socket.get(), reinterpret_cast<const sockaddr *>(&address),
                                sizeof(address)) == 0) {
            constexpr int on = 1;
            ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            return TextClient{std::move(socket)};
        }
        const int error = errno;
        if (std::chrono::steady_clock::now() > end) {
            return elisa::errno_error(error, "cannot connect to " + where);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{50});
    }
}

Result<void> TextClient::send(std::string_view request)
{
    while (!request.empty()) {
        const ssize_t sent = ::send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return elisa::errno_error(errno, "cannot send to the server");
        }
        request.remove_prefix(sent > 0 ? static_cast<std::size_t>(sent) : 0);
    }
    return {};
}

Result<void> TextClient::receive(std::size_t bytes)
{
    char some[4096];
    while (answer_.size() < bytes) {
        const ssize_t got = ::recv(socket_.get(), some, sizeof(some), 0);
        if (got == 0) {
            return make_error(Errc::no_entry, "the server has closed the connection");
        }
        if (got < 0 && errno != EINTR) {
            return elisa::errno_error(errno, "cannot receive from the server");
        }
        answer_.append(some, got > 0 ? static_cast<std::size_t>(got) : 0);
    }
    return {};
}

Result<std::string_view> TextClient::line()
{
    std::size_t end = answer_.find(line_end);
    while (end == std::string::npos) {
        if (const auto more = receive(answer_.size() + 1); !more) {
            return more.error();
        }
        end = answer_.find(line_end);
    }
    return std::string_view{answer_}.substr(0, end);
}

Result<bool> TextClient::get(std::string_view key)
{
    answer_.clear();
    request_.assign("get ").append(key).append(line_end);
    if (const auto sent = send(request_); !sent) {
        return sent.error();
    }
    const auto first = line();
    if (!first) {
        return first.error();
    }
    if (*first == "END") {
        return false;
    }
    // VALUE <key> <flags> <bytes>
    std::size_t bytes = 0;
    const std::size_t space = first->rfind(' ');
    const std::string_view number = space == std::string_view::npos ? "" : first->substr(space + 1);
    if (!first->starts_with("VALUE ") ||
        std::from_chars(number.data(), number.data() + number.size(), bytes).ec != std::errc{} ||
        bytes > 1u << 20) {
        return strange(*first);
    }
    constexpr std::string_view behind = "\r\nEND\r\n";
    const std::size_t all = first->size() + line_end.size() + bytes + behind.size();
    if (const auto rest = receive(all); !rest) {
        return rest.error();
    }
    if (answer_.size() != all || !answer_.ends_with(behind)) {
        return strange(answer_);
    }
    return true;
}

Result<void> TextClient::put(std::string_view key, std::string_view value)
{
    answer_.clear();
    request_.assign("set ")
        .append(key)
        .append(" 0 0 ")
        .append(std::to_string(value.size()))
        .append(line_end);
    request_.append(value).append(line_end);
    if (const auto sent = send(request_); !sent) {
        return sent.error();
    }
    const auto first = line();
    if (!first) {
        return first.error();
    }
    return *first == "STORED" ? Result<void>{} : strange(*first);
}

} // namespace kvs::cli
