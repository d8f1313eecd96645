// SPDX-License-Identifier: Apache-2.0
// An interface of the kernel, by a file descriptor that takes and gives frames behind a
// VnetHeader. That header is why these are not DPDK's tap and af_packet drivers: with it a
// checksum that is still to be computed is known to be, and TCP's 64 KiB frames travel whole.
#pragma once

#include "elisa/unique_fd.hpp"
#include "end.hpp"
#include "interface.hpp"
#include "vnet_header.hpp"

#include <sys/uio.h>
#include <vector>

namespace uplink {

class KernelEnd : public End {
  public:
    [[nodiscard]] std::string name() const override { return kind_ + " " + interface_.name(); }
    std::uint16_t receive(std::span<rte_mbuf *> room, Counters &counters) override;
    void send(std::span<rte_mbuf *> frames, Counters &counters) override;
    [[nodiscard]] int wait_fd() const noexcept override { return fd_.get(); }
    [[nodiscard]] Interface &interface() noexcept { return interface_; }

    ~KernelEnd() override;

  protected:
    // frame_room: bytes of the longest frame that can come.
    KernelEnd(std::string kind, Interface interface, elisa::UniqueFd fd, rte_mempool &pool,
              std::size_t frame_room);

    // What the next frame says besides its bytes.
    struct Note {
        bool tagged = false;
        std::uint16_t ethertype = RTE_ETHER_TYPE_VLAN;
        std::uint16_t tci = 0;
    };
    // A header and a frame into the pieces; bytes, or -1 with errno.
    [[nodiscard]] virtual ssize_t read(std::span<iovec> pieces, Note &note) = 0;

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

    Interface interface_;

  private:
    [[nodiscard]] bool fill_room();
    [[nodiscard]] rte_mbuf *take(std::size_t length);
    [[nodiscard]] ssize_t write(const VnetHeader &header, const rte_mbuf &frame);

    std::string kind_;
    elisa::UniqueFd fd_;
    rte_mempool &pool_;
    // Empty mbufs that the next frame is read into, and what read() is told of them: the header is
    // first.
    std::vector<rte_mbuf *> room_;
    VnetHeader header_{};
    std::vector<iovec> read_pieces_;
    std::vector<iovec> write_pieces_;
    std::size_t space_ = 0;  // of room_, in bytes
    std::size_t vacant_ = 0; // the first so many of room_ have been taken
};

} // namespace uplink
