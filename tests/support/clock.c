/* Moves the clock of a process: loaded before the C library, it adds an offset to real time. The offset in milliseconds is
 * the first eight bytes of the file that CLOCK_OFFSET_FILE names; writing there moves the clock of all processes at once.
 * For tests only: a deployed function has real time. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_millis;

__attribute__((constructor)) static void open_offset(void) {
    const char *path = getenv("CLOCK_OFFSET_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *seen = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (seen == MAP_FAILED) {
        /* A test whose clock does not move would prove nothing. */
        static const char problem[] = "clock.c: CLOCK_OFFSET_FILE names no offset\n";
        (void)!write(STDERR_FILENO, problem, sizeof problem - 1);
        _exit(70);
    }
    close(file);
    offset_millis = seen;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    long failed = syscall(SYS_clock_gettime, clock, time);
    if (!failed && clock == CLOCK_REALTIME && offset_millis) {
        int64_t offset = *offset_millis;
        time->tv_sec += offset / 1000;
        time->tv_nsec += offset % 1000 * 1000000;
        if (time->tv_nsec >= 1000000000) {
            time->tv_sec += 1;
            time->tv_nsec -= 1000000000;
        }
    }
    return (int)failed;
}
