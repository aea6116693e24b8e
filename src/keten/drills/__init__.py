"""The incidents that Keten exists for, replayed as real attacks on a running throwaway instance, with a scoreboard."""
