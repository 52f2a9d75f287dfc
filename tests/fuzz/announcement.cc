// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/announcement.h"

#include "grid/introducer/book.h"
#include "grid/introducer/certificates.h"
#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid::introducer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(as_text({data, size}));
  const std::string id = "v0-aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4a";
  if (auto read = read_announcement(text, id)) {
    FUZZ_REQUIRE(!read->service.empty() && read->nickname.size() <= 200);
    FUZZ_REQUIRE(read_announcement(read->content, id)->content == read->content);
    Book book;  // whatever is said, what we keep of it can be read again
    book.add(std::move(*read), SignedAnnouncement{text, "v0-", id});
    FUZZ_REQUIRE(Book::from_yaml(book.to_yaml(), "kept")->size() == book.size());
  }
  if (const auto book = Book::from_yaml(text, "cache"))
    FUZZ_REQUIRE(Book::from_yaml(book->to_yaml(), "kept")->size() == book->size());
  if (const auto file = parse_certificate_file(text, "file")) (void)read_certificate(*file);
  (void)read_certificate({text, {}});
  return 0;
}
