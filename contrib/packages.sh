# The Debian 12 packages that building and testing lafs needs. Sourced by contrib/test and
# contrib/quickstart.

lafs_build_packages=(
  meson ninja-build pkg-config g++
  libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev
  libssl-dev libsodium-dev libisal-dev
  libfuse3-dev fuse3 liblmdb-dev libssh-dev
  libcbor-dev libcli11-dev libfmt-dev libyaml-cpp-dev libinih-dev libutf8proc-dev
  catch2                                          # the tests are part of every build
  python3 git curl ca-certificates openssl rsync
)
# For the format check, the sanitizers, the fuzzers and the tests with other people's programs; without
# them those are skipped. vsftpd, with which the FTP server is compared, is not among them: Debian's
# package starts it for the whole network.
lafs_test_packages=(
  clang-19 libclang-rt-19-dev lld-19 clang-format-19
  lftp wget ncftp tnftp inetutils-ftp rclone python3-pyftpdlib python3-foolscap python3-cryptography
  openssh-client sshfs putty-tools python3-paramiko
  fio stress-ng sqlite3 zip unzip man-db faketime zsh fish
)

# install_packages NAME...: installs those that are missing, when we may; otherwise names them.
install_packages() {
  local package missing=()
  command -v dpkg-query >/dev/null || return 0    # not Debian: the build will say what it lacks
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
      missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    echo "not root; missing packages: ${missing[*]}" >&2
    return 0
  fi
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
