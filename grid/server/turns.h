// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whose turn it is on the files of one storage index: any number of readers or one writer, in the
// order they came. I/O thread only.

#include <unordered_map>

#include "grid/base/task.h"
#include "grid/caps/storage_index.h"

namespace lafs::grid::storage {

class Turns {
 public:
  explicit Turns(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  // Held until it is destroyed.
  class [[nodiscard]] Turn {
   public:
    Turn(Turn&&) = default;
    Turn& operator=(Turn&&) = delete;

   private:
    friend class Turns;
    Turn(std::shared_ptr<Limiter> limiter, Limiter::Permit permit)
        : limiter_(std::move(limiter)), permit_(std::move(permit)) {}
    std::shared_ptr<Limiter> limiter_;  // outlives the permit
    Limiter::Permit permit_;
  };

  Task<Turn> read(StorageIndex si) { return take(si, 1); }
  Task<Turn> write(StorageIndex si) { return take(si, readers); }
  // Storage indexes that somebody uses or waits for.
  std::size_t busy() const { return turns_.size(); }

 private:
  static constexpr std::uint64_t readers = 64;  // at once
  Task<Turn> take(StorageIndex si, std::uint64_t amount);

  asio::any_io_executor executor_;
  std::unordered_map<StorageIndex, std::weak_ptr<Limiter>> turns_;
};

}  // namespace lafs::grid::storage
