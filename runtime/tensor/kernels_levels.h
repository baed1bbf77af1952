/* kernels_levels.h: whether this build has more than the baseline kernels
 * (private).  Sanitizer builds stay at one level, so that what they check is
 * all there is; other compilers spell the target pragma differently.         */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define QA_KERNEL_LEVELS 1
#endif
