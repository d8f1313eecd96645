// SPDX-License-Identifier: Apache-2.0
#include "packet.hpp"

#include <cerrno>
#include <cstring>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace uplink {

using elisa::Result;

namespace {

// The longest that the kernel puts together from small ones.
constexpr std::size_t longest_frame = 65535 + RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN;
constexpr int queue_bytes = 8 << 20;

bool set(int fd, int level, int option, int value)
{
    return ::setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

} // namespace

Result<std::unique_ptr<Packet>> Packet::open(std::string name, rte_mempool &pool)
{
    auto interface = Interface::named(name);
    if (!interface) {
        return interface.error();
    }
    const auto index = interface->index();
    if (!index) {
        return index.error();
    }
    if (const auto ethernet = interface->settings(); !ethernet) {
        return ethernet.error();
    }
    // Protocol 0: nothing comes before it is bound.
    elisa::UniqueFd fd{::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!fd) {
        auto failed = elisa::errno_error(errno, "a packet socket");
        failed.message += errno == EPERM ? " (needs CAP_NET_RAW)" : "";
        return failed;
    }
    // What the kernel itself sends by this interface, and what this program does, is not for the
    // switch.
    if (!set(fd.get(), SOL_PACKET, PACKET_VNET_HDR, 1) ||
        !set(fd.get(), SOL_PACKET, PACKET_AUXDATA, 1) ||
        !set(fd.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)) {
        return elisa::errno_error(errno, "options of the packet socket");
    }
    if (!set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, queue_bytes)) {
        set(fd.get(), SOL_SOCKET, SO_RCVBUF, queue_bytes);
    }
    sockaddr_ll where{};
    where.sll_family = AF_PACKET;
    where.sll_protocol = htons(ETH_P_ALL);
    where.sll_ifindex = *index;
    if (::bind(fd.get(), reinterpret_cast<const sockaddr *>(&where), sizeof(where)) != 0) {
        return elisa::errno_error(errno, "bind to interface " + name);
    }
    // Frames for guests have other addresses than the interface.
    packet_mreq all{};
    all.mr_ifindex = *index;
    all.mr_type = PACKET_MR_PROMISC;
    if (::setsockopt(fd.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) != 0) {
        return elisa::errno_error(errno, "promiscuous mode of interface " + name);
    }
    return std::unique_ptr<Packet>{
        new Packet{std::move(*interface), std::move(fd), pool, longest_frame, *index}};
}

Packet::~Packet()
{
    if (held_down_) {
        static_cast<void>(interface_.set_up(true));
    }
}

ssize_t Packet::read(std::span<iovec> pieces, Note &note)
{
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(tpacket_auxdata))];
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    // MSG_TRUNC: the length that it would have had.
    const ssize_t bytes = ::recvmsg(fd(), &message, MSG_TRUNC);
    if (bytes < 0) {
        return bytes;
    }
    for (cmsghdr *one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
        if (one->cmsg_level != SOL_PACKET || one->cmsg_type != PACKET_AUXDATA) {
            continue;
        }
        tpacket_auxdata aux;
        std::memcpy(&aux, CMSG_DATA(one), sizeof(aux));
        note.tagged = (aux.tp_status & TP_STATUS_VLAN_VALID) != 0;
        note.tci = aux.tp_vlan_tci;
        if ((aux.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0) {
            note.ethertype = aux.tp_vlan_tpid;
        }
    }
    return bytes;
}

Result<bool> Packet::link()
{
    const auto index = interface_.index();
    if (!index) {
        return index.error();
    }
    if (*index != index_) {
        return elisa::make_error(elisa::Errc::no_entry,
                                 "interface " + interface_.name() + " is another one now");
    }
    const auto state = interface_.state();
    if (!state) {
        return state.error();
    }
    return state->up && state->running;
}

Result<void> Packet::hold_down(bool down)
{
    if (down == held_down_) {
        return {};
    }
    auto done = interface_.set_up(!down);
    if (done) {
        held_down_ = down;
    }
    return done;
}

void Packet::count_overrun(Counters &counters)
{
    tpacket_stats lost{};
    socklen_t size = sizeof(lost);
    if (::getsockopt(fd(), SOL_PACKET, PACKET_STATISTICS, &lost, &size) == 0) {
        counters.overrun.add(lost.tp_drops);
    }
}

} // namespace uplink
