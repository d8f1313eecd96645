// SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include "listen_unix.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace kvs::memcached {

using elisa::Errc;
using elisa::errno_error;
using elisa::make_error;
using elisa::Result;
using elisa::UniqueFd;

namespace {

Result<UniqueFd> listen_tcp(const std::string &where)
{
    sockaddr_in net{};
    const std::size_t colon = where.rfind(':');
    const std::string address = where.substr(0, colon);
    std::uint16_t port = 0;
    const char *const end = where.data() + where.size();
    if (colon == std::string::npos || ::inet_pton(AF_INET, address.c_str(), &net.sin_addr) != 1 ||
        std::from_chars(where.data() + colon + 1, end, port).ptr != end) {
        return make_error(Errc::invalid, "'" + where +
                                             "' is no ADDRESS:PORT and no path: "
                                             "give 127.0.0.1:11211, for one");
    }
    net.sin_family = AF_INET;
    net.sin_port = htons(port);
    UniqueFd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!socket ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr *>(&net), sizeof net) != 0 ||
        ::listen(socket.get(), 128) != 0) {
        return errno_error(errno, "cannot listen at " + where);
    }
    return socket;
}

} // namespace

Result<std::string> Server::listen(const std::string &where)
{
    const bool is_path = where.find('/') != std::string::npos;
    auto socket =
        is_path ? apps::listen_unix(where, SOCK_STREAM, apps::Access::umask) : listen_tcp(where);
    if (!socket) {
        return std::move(socket).error();
    }
    std::string said = where;
    if (!is_path) {
        sockaddr_in net{};
        socklen_t size = sizeof net;
        ::getsockname(socket->get(), reinterpret_cast<sockaddr *>(&net), &size);
        said = where.substr(0, where.rfind(':') + 1) + std::to_string(ntohs(net.sin_port));
    }
    listeners_.push_back(std::move(*socket));
    return said;
}

void Server::run(const std::atomic<bool> &stop)
{
    std::vector<pollfd> fds;
    while (!stop.load(std::memory_order_relaxed)) {
        fds.clear();
        for (const UniqueFd &listener : listeners_) {
            fds.push_back({.fd = listener.get(), .events = POLLIN, .revents = 0});
        }
        for (const Peer &peer : peers_) {
            // Who does not read his answers is not listened to.
            const bool listens = peer.open && !peer.conversation.stopped();
            fds.push_back({.fd = peer.socket.get(),
                           .events = static_cast<short>((listens ? POLLIN : 0) |
                                                        (peer.out.empty() ? 0 : POLLOUT)),
                           .revents = 0});
        }
        ::poll(fds.data(), fds.size(), 200);
        auto peer = peers_.begin();
        for (std::size_t i = listeners_.size(); i < fds.size(); ++i) {
            const short events = fds[i].revents;
            const bool goes_on = ((events & POLLIN) == 0 || receive(*peer)) &&
                                 (events & (POLLERR | POLLNVAL)) == 0 &&
                                 ((events & POLLHUP) == 0 || (events & POLLIN) != 0) &&
                                 send(*peer) && (peer->open || !peer->out.empty());
            peer = goes_on ? std::next(peer) : peers_.erase(peer);
        }
        for (std::size_t i = 0; i < listeners_.size(); ++i) {
            if (fds[i].revents != 0) {
                accept(listeners_[i].get());
            }
        }
    }
}

void Server::accept(int listener)
{
    for (;;) {
        UniqueFd socket{::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        if (!socket) {
            return;
        }
        const int on = 1;
        ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        peers_.push_back({std::move(socket), Conversation{client_}, {}, true});
    }
}

bool Server::receive(Peer &peer)
{
    char bytes[16384];
    const ssize_t n = ::recv(peer.socket.get(), bytes, sizeof bytes, 0);
    if (n == 0) {
        return false;
    }
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    peer.open = peer.conversation.feed({bytes, static_cast<std::size_t>(n)}, peer.out);
    return true;
}

bool Server::send(Peer &peer)
{
    std::size_t sent = 0;
    while (sent < peer.out.size()) {
        const ssize_t n =
            ::send(peer.socket.get(), peer.out.data() + sent, peer.out.size() - sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN || errno == EINTR) {
                break;
            }
            return false;
        }
        sent += static_cast<std::size_t>(n);
    }
    peer.out.erase(0, sent);
    if (peer.out.empty() && peer.conversation.stopped()) {
        peer.open = peer.conversation.feed({}, peer.out);
    }
    return true;
}

} // namespace kvs::memcached
