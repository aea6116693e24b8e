"""The process that alone holds connections to the organisation's own databases, and reads single rows there."""
