# Builds the stub as a program of its own, and puts its file into the platform library.
get_target_property(platform_sources sbox_platform SOURCES)
list(FILTER platform_sources EXCLUDE REGEX "platform/stub/stub\\.c$")
set_target_properties(sbox_platform PROPERTIES SOURCES "${platform_sources}")

set(stub_dir ${CMAKE_SOURCE_DIR}/platform/stub)
target_sources(sbox_platform PRIVATE ${stub_dir}/image.S)

if(SBOX_ARCH STREQUAL "x86_64")
  set(stub_elf ${CMAKE_BINARY_DIR}/stub.elf)
  set(stub_flags -std=gnu17 -O2 -g0 -ffreestanding -fno-stack-protector -fcf-protection=none -fPIE -fvisibility=hidden
    -fno-asynchronous-unwind-tables -fno-builtin -mgeneral-regs-only -mno-red-zone -Wall -Wextra -Werror)
  set(stub_link -nostdlib -nostartfiles -static-pie -Wl,--no-dynamic-linker -Wl,-z,norelro -Wl,-z,text
    -Wl,-z,noseparate-code -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-s)
  add_custom_command(
    OUTPUT ${stub_elf}
    COMMAND ${CMAKE_C_COMPILER} ${stub_flags} ${stub_link} -I${CMAKE_SOURCE_DIR}
      ${stub_dir}/stub.c ${stub_dir}/x86_64.S ${stub_dir}/fast_x86_64.S -o ${stub_elf}
    DEPENDS ${stub_dir}/stub.c ${stub_dir}/x86_64.S ${stub_dir}/fast_x86_64.S ${stub_dir}/abi.h ${stub_dir}/slot.h
    VERBATIM)
  add_custom_target(sbox_stub DEPENDS ${stub_elf})
  add_dependencies(sbox_platform sbox_stub)
  set_source_files_properties(${stub_dir}/image.S PROPERTIES
    OBJECT_DEPENDS ${stub_elf} COMPILE_DEFINITIONS "STUB_ELF=\"${stub_elf}\"")
endif()
