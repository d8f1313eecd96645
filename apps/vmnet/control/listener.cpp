// SPDX-License-Identifier: Apache-2.0
#include "listener.hpp"

#include "listen_unix.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace vmnet::control {
namespace {

using elisa::errno_error;
using elisa::Result;
using elisa::UniqueFd;

constexpr std::string_view unix_scheme = "unix:";

Result<UniqueFd> listen_unix(const std::string &path)
{
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path{path}.parent_path(), ignored);
    return apps::listen_unix(path, SOCK_STREAM, apps::Access::owner);
}

Result<UniqueFd> listen_tcp(const std::string &text)
{
    const std::size_t colon = text.rfind(':');
    std::uint16_t port = 0;
    if (colon != std::string::npos) {
        std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
    }
    const std::string host = text.substr(0, colon);
    sockaddr_in6 six{};
    sockaddr_in four{};
    const sockaddr *name = nullptr;
    socklen_t length = 0;
    if (host == "[::1]") {
        six.sin6_family = AF_INET6;
        six.sin6_port = htons(port);
        six.sin6_addr = in6addr_loopback;
        name = reinterpret_cast<const sockaddr *>(&six);
        length = sizeof(six);
    } else if (host == "127.0.0.1") {
        four.sin_family = AF_INET;
        four.sin_port = htons(port);
        four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        name = reinterpret_cast<const sockaddr *>(&four);
        length = sizeof(four);
    } else {
        return elisa::make_error(elisa::Errc::invalid,
                                 text + " is no address of this machine alone");
    }
    UniqueFd fd{::socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    constexpr int on = 1;
    if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        ::bind(fd.get(), name, length) != 0 || ::listen(fd.get(), 16) != 0) {
        return errno_error(errno, "cannot listen at " + text);
    }
    return fd;
}

} // namespace

Result<Listener> Listener::open(const std::string &address)
{
    const bool is_unix = address.starts_with(unix_scheme);
    const std::string path = is_unix ? address.substr(unix_scheme.size()) : std::string{};
    auto fd = is_unix ? listen_unix(path) : listen_tcp(address);
    if (!fd) {
        return fd.error();
    }
    return Listener{std::move(*fd), path};
}

Listener::~Listener()
{
    if (fd_ && !path_.empty()) {
        ::unlink(path_.c_str());
    }
}

UniqueFd Listener::accept() const
{
    return UniqueFd{::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
}

bool Peer::work(std::size_t longest_input)
{
    char some[16384];
    while (!ended_ && in_.size() <= longest_input) {
        const ssize_t got = ::recv(fd_.get(), some, sizeof(some), 0);
        if (got == 0) {
            ended_ = true;
        } else if (got > 0) {
            in_.append(some, static_cast<std::size_t>(got));
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR) {
            return false;
        }
    }
    while (sent_ < out_.size()) {
        const ssize_t sent =
            ::send(fd_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
        if (sent > 0) {
            sent_ += static_cast<std::size_t>(sent);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR) {
            return false;
        }
    }
    if (sent_ == out_.size()) {
        out_.clear();
        sent_ = 0;
    } else if (sent_ > (std::size_t{1} << 20)) {
        out_.erase(0, sent_);
        sent_ = 0;
    }
    return in_.size() <= longest_input;
}

bool Peer::line(std::string &into)
{
    const std::size_t end = in_.find('\n');
    if (end == std::string::npos) {
        return false;
    }
    into.assign(in_, 0, end);
    in_.erase(0, end + 1);
    return true;
}

void Peer::wait_for(std::vector<pollfd> &fds) const
{
    const short events = static_cast<short>((ended_ ? 0 : POLLIN) | (unsent() != 0 ? POLLOUT : 0));
    fds.push_back({.fd = fd_.get(), .events = events, .revents = 0});
}

} // namespace vmnet::control
